"""The viewer: a slide with its confidence and nuclei in a browser, served to this machine alone."""
