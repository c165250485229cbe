"""The Zarr store of one slide: layout, chunks, blocks, states and damage."""
