"""A population whose members take turns: what `Rows` does, with programs of one member."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.sweep.population_batches import Batches
from cnnlab.train.evaluate import evaluate
from cnnlab.train.feed import gather
from cnnlab.train.numbers import Numbers
from cnnlab.train.programs import Carry, Programs
from cnnlab.train.state import TrainState


class Turns:
    """As many carries as there are members; see `Rows`, whose methods these are.

    Attributes:
      size: number of members.
    """

    def __init__(self, programs: Programs, members: int):
        """Compiles nothing yet, and holds no carries."""
        self._programs, self.size = programs, members
        self._batches = Batches(programs, members, None)
        self._gather = jax.jit(gather)
        self._carries: list[Carry] = []

    def fill(self, carries: Sequence[Carry]) -> None:
        """Gives each member its `state` and `window`."""
        replicate = self._programs.parallel.replicate
        self._carries = [
            replicate({"state": c["state"], "window": c["window"]}) for c in jax.device_get(carries)
        ]

    def set_numbers(self, numbers: Sequence[Numbers]) -> None:
        """Gives each member its numbers."""
        replicate = self._programs.parallel.replicate
        for index, own in enumerate(numbers):
            own = jax.tree.map(jnp.asarray, own)
            self._carries[index] = self._carries[index] | {"numbers": replicate(own)}

    def advance(self, steps: Sequence[int], seeds: Sequence[int]) -> None:
        """Trains all members for the steps of these numbers."""
        stacked = len(steps) > 1
        call, parallel = self._programs.train(len(steps)), self._programs.parallel
        for index, chosen in enumerate(self._batches.indices(seeds, steps)):
            batch = self._gather(*self._batches.data, chosen if stacked else chosen[0])
            batch = parallel.shard(batch, stacked=stacked)
            self._carries[index] = call(self._carries[index], batch)

    def wait(self) -> None:
        """Until all that was asked for is computed."""
        jax.block_until_ready(self._carries)

    def windows(self) -> list[dict[str, np.ndarray]]:
        """Each member's metric sums since the last reset, on the host."""
        return jax.device_get([carry["window"] for carry in self._carries])

    def reset_windows(self) -> None:
        """Starts all members' metric sums anew."""
        replicate, zeros = self._programs.parallel.replicate, self._programs.zero_window
        for index in range(self.size):
            window = replicate(jax.tree.map(jnp.array, zeros))
            self._carries[index] = self._carries[index] | {"window": window}

    def carries(self) -> list[Carry]:
        """Each member's `state` and `window` on the host."""
        return jax.device_get([{"state": c["state"], "window": c["window"]} for c in self._carries])

    def copy(self, parents: Sequence[int]) -> None:
        """Gives each member `state` and `window` of its parent, but for its own random numbers."""
        before = list(self._carries)
        for index, parent in enumerate(parents):
            if parent != index:
                copied = jax.tree.map(jnp.copy, before[parent])
                state = copied["state"].replace(rng=before[index]["state"].rng)
                self._carries[index] = copied | {"state": state}

    def clear(self) -> None:
        """Forgets the carries, which need memory."""
        self._carries = []

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        """Each member's metric sums on one split of the data; of its state, or of given ones."""
        if states is None:
            states = [carry["state"] for carry in self._carries]
        programs = self._programs
        return [
            evaluate(
                programs.eval,
                programs.parallel.replicate(state.variables),
                programs.dataset.splits[split],
                programs.parallel,
                batch_size=programs.eval_batch_size,
            )
            for state in states
        ]
