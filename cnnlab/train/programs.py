"""The compiled functions of a run, which all runs that differ only in traced numbers can share."""

from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.config import Config
from cnnlab.data import Dataset
from cnnlab.train.numbers import skeleton, traceable_numbers
from cnnlab.train.parallel import Step, check_divisible, check_rows, make_parallel
from cnnlab.train.setup import Setup, load_data, make_setup
from cnnlab.train.state import PyTree, compile_init, start_from
from cnnlab.train.step import Sums, add_sums

# What a compiled training step takes and gives: `numbers` of the config, by their paths, which do
# not change; the `state`; the `window`, metric sums since the last log.
Carry = dict[str, PyTree]


class Programs:
    """Data, devices and compiled functions of runs of one skeleton (`cnnlab.train.numbers`).

    >>> programs = Programs(config)
    >>> for rate in (0.1, 0.2):
    ...     fit(apply_overrides(config, {"optimizer.learning_rate": rate}), f"runs/{rate}",
    ...         programs=programs)  # the second run compiles nothing

    Attributes:
      config: of one of them.
      dataset: of all of them.
      split: what is evaluated on the way: `validation`, or `test` where nothing is held out.
      parallel: the devices, and how they are used.
      zero_window: metric sums over no steps.
      eval: `call(variables, batch) -> sums`, compiled.
      more: where others keep the functions that they compile for these runs.
    """

    def __init__(self, config: Config, dataset: Dataset | None = None):
        """Loads the data, unless they are given, and traces the step; compiles nothing yet.

        Raises:
          UserError: a mistake in the config, or data that cannot be had.
        """
        self.config, self.dataset = config, dataset or load_data(config)
        self.split = "validation" if "validation" in self.dataset.splits else "test"
        self._setup = make_setup(config, self.dataset.info)
        self.zero_window = jax.device_get(self._setup.zero_window())
        self.parallel = make_parallel(config.parallel, config.num_devices, **vars(config.sharding))
        check_divisible("batch_size", config.batch_size, self.parallel)
        check_rows(self.dataset.info.image_shape[0], self.parallel)
        self.eval: Step = self.parallel.compile_eval(self.eval_step)
        self.more: dict[Any, Any] = {}
        self._skeleton = skeleton(config)
        self._train: dict[int, Step] = {}
        self._init = compile_init(
            lambda seed, numbers: self._setup.with_numbers(numbers).init_state(seed)
        )

    def setup(self, config: Config) -> Setup:
        """The functions of one of these runs, as they are before they are compiled.

        Raises:
          UserError: a mistake in the config.
          ValueError: a config of another skeleton.
        """
        if config == self.config:
            return self._setup
        if skeleton(config) != self._skeleton:
            raise ValueError("These programs are for configs that differ in other numbers only.")
        return make_setup(config, self.dataset.info)

    @property
    def steps_per_call(self) -> int:
        """How many updates one call of the compiled program makes."""
        return self.config.steps_per_call or (1 if jax.default_backend() == "cpu" else 10)

    @property
    def eval_batch_size(self) -> int:
        """Examples at a time in an evaluation."""
        return self.config.evaluation.batch_size or self.config.batch_size

    def new_carry(self, setup: Setup) -> Carry:
        """`state` and `window` before the first update; see `Setup.create_state`."""
        state = self._init(jnp.uint32(setup.config.seed), traceable_numbers(setup.config))
        found = setup.read_pretrained()
        if found is not None:
            state = start_from(state, found, setup.tx)
        # A copy each time: the compiled step overwrites the buffers it is given.
        return {"state": state, "window": jax.tree.map(jnp.array, self.zero_window)}

    def train(self, count: int) -> Step:
        """`call(carry, batch) -> carry`, for `count` steps, compiled; see `Carry`."""
        if count not in self._train:
            self._train[count] = self.parallel.compile_train(self.advance, count)
        return self._train[count]

    def advance(self, carry: Carry, batch: dict[str, jax.Array]) -> Carry:
        """One step with the carry's numbers, to be compiled."""
        setup = self._setup.with_numbers(carry["numbers"])
        step = setup.train_step(self.parallel.axis_name, around=self.parallel.around)
        state, sums = step(carry["state"], batch)
        return carry | {"state": state, "window": add_sums(carry["window"], sums)}

    def eval_step(self, variables: PyTree, batch: dict[str, jax.Array]) -> Sums:
        """Metric sums of one batch, to be compiled."""
        return self._setup.eval_step(around=self.parallel.around)(variables, batch)
