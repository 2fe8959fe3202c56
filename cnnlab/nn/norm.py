"""Batch normalization layer shared by all architectures."""

import flax.linen as nn

BatchNorm = nn.BatchNorm
