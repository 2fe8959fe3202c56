"""Sweeps: many trials of one experiment, and what to make of them."""
