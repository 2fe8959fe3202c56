"""Other libraries' names of our architectures' layers: one file per family of names."""
