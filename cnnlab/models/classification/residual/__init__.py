"""Classifiers of residual blocks that differ from ResNet's inside, or in how they are joined."""
