"""Classifiers made of branches side by side, GoogLeNet and its successors, and Xception."""
