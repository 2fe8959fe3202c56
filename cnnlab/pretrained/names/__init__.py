"""What other libraries call the layers of our architectures: one file for a family of names."""
