"""Resizing of images to the size of a data set, and random crops for training."""
