"""Types of nuclei, from the numbers in their tables."""
