"""Types of trees of arrays, used by the whole package."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

# A nest of dicts, tuples and dataclasses with arrays as leaves, as `jax.tree` walks it.
PyTree = Any
# `image` [batch, height, width, channels], `label`, and `mask` [batch]: 1 for an example, 0 for
# padding. NumPy's on the way to the devices, JAX's in a compiled step.
Batch = Mapping[str, jax.Array | np.ndarray]
# Metric sums by name: those of two batches add up. Names that begin with `ROWS` hold a row for each
# example instead, [batch, ...]: those of two batches are concatenated, and rows whose
# `ROWS + "mask"` is 0 are dropped.
ROWS = "rows/"
Sums = dict[str, jax.Array]
# Hyper-parameters by their paths in the config: scalars or pairs of scalars, Python's or traced.
HParams = Mapping[str, Any]
