"""Reading labels, scoring predicted nuclei against them, and the baselines of the paper."""
