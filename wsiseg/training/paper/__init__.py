"""The method of Boserup & Selvan (2023), section 2: sampler, similarities, losses."""
