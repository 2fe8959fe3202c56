"""The training data of a population: once on the devices, and which examples each batch holds."""

import functools
from collections.abc import Sequence

import jax
import numpy as np

from cnnlab.data import batch_indices
from cnnlab.data.order import epoch_order
from cnnlab.train.programs import Programs


class Batches:
    """Batches of several seeds.

    Attributes:
      data: images and labels of the training split, on the devices.
    """

    def __init__(self, programs: Programs, members: int, where: jax.sharding.Sharding | None):
        """Takes a training split that is held in memory.

        Args:
          programs: of the members.
          members: how many seeds there may be.
          where: to put the data; None is the first device.
        """
        self._batch_size = programs.config.batch_size
        self._source = programs.dataset.splits["train"]
        self._where = where or jax.local_devices()[0]
        # The order of an epoch is asked for again and again, and a batch may lie in two epochs.
        self._order = functools.lru_cache(maxsize=2 * members)(epoch_order)

    @functools.cached_property
    def data(self) -> tuple[jax.Array, jax.Array]:
        return jax.device_put((self._source.images, self._source.labels), self._where)

    def indices(self, seeds: Sequence[int], steps: Sequence[int]) -> np.ndarray:
        """Numbers of the examples, int32 [seeds, steps, batch]."""
        return np.stack([[self._one(seed, step) for step in steps] for seed in seeds])

    def _one(self, seed: int, step: int) -> np.ndarray:
        chosen = batch_indices(
            seed,
            step,
            batch_size=self._batch_size,
            num_examples=len(self._source),
            order=self._order,
        )
        return chosen.astype(np.int32)
