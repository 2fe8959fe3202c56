"""Reads weight files of PyTorch, safetensors and the Hugging Face hub without PyTorch.

The content of a file determines its format, not its name, and nothing in it is ever executed.
"""

from cnnlab.pretrained.files.reading import SUFFIXES, folder_file, is_weights_name, read
from cnnlab.pretrained.files.writing import write

__all__ = ["SUFFIXES", "folder_file", "is_weights_name", "read", "write"]
