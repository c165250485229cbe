"""The confidence network, what it sees of an image, and the file that holds it."""
