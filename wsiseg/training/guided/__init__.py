"""What the preset `default` adds to the paper: targets from the stain, the consensus, generated tissue."""
