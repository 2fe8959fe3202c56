"""Classifiers made of transformer blocks."""
