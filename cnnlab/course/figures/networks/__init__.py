"""Figures of networks and of their parts."""
