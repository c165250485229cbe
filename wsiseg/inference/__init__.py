"""The engine that runs the network, the Dask graph over a slide, and the Zarr store."""
