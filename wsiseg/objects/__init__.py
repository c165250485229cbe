"""Objects: from confidence to nuclei, their outlines and measurements, and the files that hold them."""
