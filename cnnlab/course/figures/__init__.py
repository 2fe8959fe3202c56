"""Figures of the course's pages that need no training; one file for each topic."""
