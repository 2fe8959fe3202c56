"""Pooling functions shared by all architectures, with flax.linen's arguments."""

import flax.linen as nn

avg_pool = nn.avg_pool
max_pool = nn.max_pool
