"""Warm start: replaces initial weights by those that `model.pretrained` names."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from cnnlab.config import Config
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.inference.run import load_run
from cnnlab.pretrained import (
    LoadedWeights,
    differing_options,
    fit_encoder,
    fit_weights,
    is_segmenter,
    match_weights,
    own_tensors,
    read_source,
)
from cnnlab.train.experiment import Experiment
from cnnlab.train.network_options import encoder_of, network_options
from cnnlab.train.runtime.workdir import Workdir
from cnnlab.train.state import TrainState, chain_of

# Auxiliary classifiers, which an option leaves out.
_AUXILIARY = "/head/aux"


def initial_state(experiment: Experiment) -> TrainState:
    """Returns the state before the first update, with the weights of `model.pretrained` if set.

    Raises:
      UserError: those weights cannot be read or do not fit.
    """
    state, weights = experiment.create_state(), read_pretrained(experiment)
    tx = chain_of(experiment.tx, experiment.hparams)
    return state if weights is None else warm_start(state, weights, tx)


def warm_start(
    state: TrainState, weights: LoadedWeights, tx: optax.GradientTransformation
) -> TrainState:
    """Replaces the weights of a new state.

    Args:
      state: a state from `init_state`.
      weights: the weights that were read; arrays that are missing keep their values in `state`.
      tx: the optimizer. Its state is initialised again, because it may depend on the parameters.
    """
    variables = weights.merge({"params": state.params, **state.collections})
    # Copies: steps donate their buffers, and arrays that were read are numpy's.
    variables = jax.tree.map(jnp.array, variables)
    params = variables.pop("params")
    return state.replace(
        params=params,
        collections=variables,
        opt_state=jax.jit(tx.init)(params),
        ema_params=None if state.ema_params is None else jax.tree.map(jnp.copy, params),
    )


def read_pretrained(experiment: Experiment) -> LoadedWeights | None:
    """Reads the weights that `model.pretrained` names; returns None if it is unset.

    Raises:
      UserError: those weights cannot be read or do not fit.
    """
    config, info = experiment.config, experiment.info
    source = config.model.pretrained
    if not source:
        return None
    state = experiment.abstract_state()
    shapes = {"params": state.params, **state.collections}
    if config.task == "segmentation":
        found = _into_segmenter(source, config, info, shapes)
    elif Workdir(Path(source).expanduser()).has_run:
        found = _from_run(source, config, info, shapes)
    else:
        found = fit_weights(read_source(source), config.model.name, network_options(config), shapes)
    return _without_head(found) if config.finetune.new_head else found


def _into_segmenter(source: str, config: Config, info: DatasetInfo, shapes: dict) -> LoadedWeights:
    """Weights of a whole network, run or file, or of a classifier, run or file, for its encoder."""
    folder = Workdir(Path(source).expanduser())
    if folder.has_run and folder.config().task == "segmentation":
        return _from_run(source, config, info, shapes)
    name, whole = config.model.name, network_options(config)
    weights = None if folder.has_run else read_source(source)
    if weights is not None and is_segmenter(weights, name, whole, shapes):
        return fit_weights(weights, name, whole, shapes)
    encoder, options = encoder_of(config)
    options |= whole.get("encoder_options") or {}
    if weights is None:
        run = load_run(Path(source).expanduser())
        if run.config.model.name != encoder or differing_options(
            encoder, run.experiment.model_options, options
        ):
            raise UserError(
                f"The run in {source} is of {run.config.model.name} with "
                f"{run.experiment.model_options}, and the encoder is {encoder} with {options}: set "
                "model.options.encoder and model.options.encoder_options alike."
            )
        flat = flatten_dict(run.variables)
        arrays = {path: np.asarray(x) for path, x in flat.items() if path[1] == "backbone"}
    else:
        arrays = fit_encoder(weights, encoder, options, channels=info.image_shape[-1])
    wanted = flatten_dict(shapes)
    arrays = {path: array for path, array in arrays.items() if path in wanted}
    misfits = [path for path, array in arrays.items() if array.shape != wanted[path].shape]
    if misfits:
        path = misfits[0]
        raise UserError(
            f"The encoder's weights in {source} do not fit: {'/'.join(path)} is "
            f"{arrays[path].shape}, and the network has {wanted[path].shape}."
        )
    return LoadedWeights(arrays, tuple(path for path in wanted if path not in arrays), ())


def _from_run(source: str, config: Config, info: DatasetInfo, shapes: dict) -> LoadedWeights:
    """Weights of another run's best checkpoint: the backbone, and the head for as many classes."""
    run = load_run(Path(source).expanduser())
    name = config.model.name
    if run.config.model.name != name:
        raise UserError(
            f"The run in {source} is of {run.config.model.name}, and the network is {name}: set "
            f"model.name={run.config.model.name}."
        )
    differing = differing_options(name, run.experiment.model_options, config.model.options)
    if differing:
        values = ", ".join(f"model.options.{k}={theirs}" for k, (theirs, _) in differing.items())
        raise UserError(f"The run in {source} is another network: set {values}.")
    stored = {"/".join(path): np.asarray(x) for path, x in flatten_dict(run.variables).items()}
    wanted = own_tensors(shapes)
    optional = {key for key in (*stored, *(t.key for t in wanted)) if _AUXILIARY in key}
    if config.finetune.new_head or run.info.num_classes != info.num_classes:
        stored = {key: array for key, array in stored.items() if not _in_head(key)}
        optional = {tensor.key for tensor in wanted if _in_head(tensor.key)}
    return match_weights(stored, wanted, what=f"The run in {source}", optional=optional)


def _without_head(found: LoadedWeights) -> LoadedWeights:
    head = tuple(path for path in found.arrays if path[1] == "head")
    rest = {path: array for path, array in found.arrays.items() if path not in head}
    return dataclasses.replace(found, arrays=rest, new=tuple(dict.fromkeys((*found.new, *head))))


def _in_head(key: str) -> bool:
    return key.split("/")[1] == "head"
