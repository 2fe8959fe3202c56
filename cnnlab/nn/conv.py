"""Convolution layer shared by all architectures."""

import flax.linen as nn

Conv = nn.Conv
