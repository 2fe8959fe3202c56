"""Classifiers made of branches side by side: GoogLeNet and its successor."""
