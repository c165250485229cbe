"""What other presets add to the paper: targets from the prior or the stain, a consensus, generated tissue."""
