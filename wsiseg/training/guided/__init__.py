"""What other presets add to the paper: targets from the prior or the stain, the consensus, generated tissue."""
