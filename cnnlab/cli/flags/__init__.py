"""Help and flags of each command, without the imports that running it needs."""
