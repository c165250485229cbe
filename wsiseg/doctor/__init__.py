"""What `wsiseg doctor` looks at: the libraries, the machine, a slide, the network."""
