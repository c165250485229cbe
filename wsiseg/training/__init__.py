"""Training without labels: the paper's method, what the default preset adds, repeats, and the choice."""
