"""What `wsiseg doctor` checks: libraries, machine, slide and network."""
