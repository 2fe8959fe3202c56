"""Classifiers designed for mobile devices."""
