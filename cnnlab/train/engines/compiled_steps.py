"""The compiled functions of a run, shared by all runs that differ only in hyper-parameters."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.arrays import HParams, PyTree, Sums
from cnnlab.config import Config, validate
from cnnlab.data import Dataset
from cnnlab.data.order import index_function
from cnnlab.pretrained import LoadedWeights
from cnnlab.train.engines.vmapped_steps import VmappedSteps
from cnnlab.train.experiment import Experiment, build_experiment
from cnnlab.train.hparams import hparams_of, program_key
from cnnlab.train.run_data import check_labels
from cnnlab.train.runtime.devices import Step, check_divisible, check_rows, make_parallel
from cnnlab.train.state import chain_of, compile_init
from cnnlab.train.step import add_sums
from cnnlab.train.warm_start import read_pretrained, warm_start

# What a compiled training step advances: `state`, and `metrics`, the sums since the last log.
Carry = dict[str, PyTree]


class CompiledSteps:
    """Data, devices and compiled functions of runs with one program key (`cnnlab.train.hparams`).

    >>> compiled = CompiledSteps(config, load_data(config))
    >>> for rate in (0.1, 0.2):
    ...     fit(apply_overrides(config, {"optimizer.learning_rate": rate}), f"runs/{rate}",
    ...         compiled=compiled)  # the second run compiles nothing

    Attributes:
      config: config of one of the runs.
      dataset: data set of all runs.
      split: split of the periodic evaluation: `validation`, or `test` if nothing is held out.
      parallel: how the devices are used.
      zero_metrics: metric sums over zero steps.
      eval: `call(variables, batch) -> sums`, compiled.
    """

    def __init__(self, config: Config, dataset: Dataset, **objects: Any):
        """Traces the step; compiles nothing yet.

        Args:
          config: config of one of the runs.
          dataset: their data set; see `load_data`.
          **objects: model, task, tx and augment as `build_experiment` takes them.

        Raises:
          UserError: a mistake in the config, or data that do not fit it.
        """
        self.config, self.dataset = config, dataset
        self.split = "validation" if "validation" in self.dataset.splits else "test"
        self._experiment = build_experiment(config, self.dataset.info, **objects)
        check_labels(config.task, self.dataset)
        # To refuse labels that cannot be balanced before a run begins.
        index_function(self.dataset.splits["train"], config.data.sampling)
        self.parallel = make_parallel(config.parallel, config.num_devices, **vars(config.sharding))
        check_divisible(config.batch_size, self.parallel)
        check_rows(self.dataset.info.image_shape[0], self.parallel)
        self.zero_metrics = jax.device_get(self._experiment.zero_metrics())
        self._step = self._experiment.train_step(
            self.parallel.axis_name, around=self.parallel.around
        )
        self.eval: Step = self.parallel.compile_eval(self.eval_step)
        self._vmapped: dict[int, VmappedSteps] = {}
        self._key = program_key(config)
        self._train: dict[int, Step] = {}
        self._init = compile_init(self._experiment.init_state)

    def experiment(self, config: Config) -> Experiment:
        """Returns the objects of one of these runs, which shares all but config and `hparams`.

        Raises:
          UserError: a mistake in the config.
          ValueError: a config with another program key.
        """
        if config == self.config:
            return self._experiment
        validate(config)
        if program_key(config) != self._key:
            raise ValueError("These programs are for configs that differ in hyper-parameters only.")
        return dataclasses.replace(self._experiment, config=config, hparams=hparams_of(config))

    @functools.cached_property
    def pretrained(self) -> LoadedWeights | None:
        """The weights that `model.pretrained` names, read once for all runs."""
        return read_pretrained(self._experiment)

    @property
    def total_steps(self) -> int:
        """Number of updates of a whole run."""
        return self._experiment.total_steps

    @property
    def steps_per_call(self) -> int:
        """Number of updates per call of the compiled program."""
        return self.config.steps_per_call or (1 if jax.default_backend() == "cpu" else 10)

    @property
    def eval_batch_size(self) -> int:
        """Examples per batch in evaluation."""
        return self.config.evaluation.batch_size or self.config.batch_size

    def new_carry(self, experiment: Experiment) -> Carry:
        """Returns `state` and `metrics` before the first update, with pretrained weights if set."""
        state = self._init(jnp.uint32(experiment.config.seed), experiment.hparams)
        if self.pretrained is not None:
            tx = chain_of(experiment.tx, experiment.hparams)
            state = warm_start(state, self.pretrained, tx)
        # A copy each time: the compiled step overwrites the buffers it is given.
        return {"state": state, "metrics": jax.tree.map(jnp.array, self.zero_metrics)}

    def train(self, count: int) -> Step:
        """Returns the compiled `call(carry, batch, hparams) -> carry` for `count` steps."""
        if count not in self._train:
            self._train[count] = self.parallel.compile_train(self.advance, count)
        return self._train[count]

    def vmapped(self, rows: int) -> VmappedSteps:
        """Returns the same steps for at least `rows` runs side by side."""
        if rows not in self._vmapped:
            devices = self.parallel.mesh.devices.ravel()[:rows]
            self._vmapped[rows] = VmappedSteps(self.advance, self.eval_step, devices, rows)
        return self._vmapped[rows]

    def place(self, hparams: HParams) -> PyTree:
        """Puts hyper-parameters on the devices, for all calls of the compiled step."""
        # Arrays from Python's scalars stay weakly typed, as scalars in the program would be.
        return self.parallel.replicate(jax.tree.map(jnp.asarray, hparams))

    def advance(self, carry: Carry, batch: dict[str, jax.Array], hparams: PyTree) -> Carry:
        """One step, to be compiled."""
        state, sums = self._step(carry["state"], batch, hparams)
        return {"state": state, "metrics": add_sums(carry["metrics"], sums)}

    def eval_step(self, variables: PyTree, batch: dict[str, jax.Array]) -> Sums:
        """Metric sums of one batch, to be compiled."""
        return self._experiment.eval_step(around=self.parallel.around)(variables, batch)
