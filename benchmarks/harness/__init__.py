"""What the benchmarks share: labelled fields, scores, cells that are kept, tables and figures."""
