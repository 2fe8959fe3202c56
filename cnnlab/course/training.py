"""Short trainings for the course's experiments: a network, a few hundred steps, a score."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnlab import data, tasks, train
from cnnlab.data import ArraySource, DatasetInfo
from cnnlab.data.augment import AugmentConfig, make_augment, make_normalize
from cnnlab.data.statistics import channel_statistics
from cnnlab.models import Network

Variables = Any
Predict = Callable[[np.ndarray], np.ndarray]


def train_network(
    model: Network,
    source: ArraySource,
    info: DatasetInfo,
    *,
    tx: optax.GradientTransformation,
    steps: int,
    batch_size: int,
    seed: int,
    augment: AugmentConfig | None = None,
    start: Variables | None = None,
    task: tasks.Task | None = None,
) -> tuple[Variables, np.ndarray]:
    """Trains a network; a pure function of its arguments, on the same machine.

    Args:
      model: see `Network`.
      source: of the training examples.
      info: tells image shape, classes, and what to normalise with.
      tx: the optimizer.
      steps: updates.
      batch_size: examples of each.
      seed: of weights, order and augmentation.
      augment: None normalises alone.
      start: variables to start from; None draws new ones.
      task: None is classification.

    Returns:
      The variables, and the mean loss of each step, [steps].
    """
    task = task or tasks.Classification(info.num_classes)
    state = train.create_state(model, tx, image_shape=info.image_shape, seed=seed)
    if start is not None:
        start = jax.tree.map(jnp.array, start)  # copies: the step is given its state for good
        params = start.pop("params")
        state = state.replace(params=params, collections=start, opt_state=tx.init(params))
    augmented = make_augment(
        augment or AugmentConfig(), num_classes=info.num_classes, mean=info.mean, std=info.std
    )
    step = jax.jit(train.make_train_step(model, task, tx, augment=augmented), donate_argnums=0)
    losses = []
    for batch in data.train_batches(
        source, seed=seed, batch_size=batch_size, start_step=0, stop_step=steps
    ):
        state, sums = step(state, batch)
        losses.append(sums["loss"] / sums["count"])
    return state.variables, np.asarray(jnp.stack(losses))


def predictor(model: Network, variables: Variables, info: DatasetInfo) -> Predict:
    """Maps uint8 images, of any number, to logits; one compiled program for all calls.

    Args:
      model: see `Network`.
      variables: of it.
      info: tells what to normalise with.
    """
    normalize = make_normalize(info.mean, info.std)

    @jax.jit
    def logits(variables: Variables, images: jax.Array) -> jax.Array:
        return model.apply(variables, normalize({"image": images})["image"], train=False)

    def predict(images: np.ndarray, chunk: int = 100) -> np.ndarray:
        parts = []
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            missing = chunk - len(part)
            padded = np.concatenate([part, np.repeat(part[:1], missing, axis=0)])
            parts.append(np.asarray(logits(variables, padded))[: len(part)])
        return np.concatenate(parts)

    return predict


def accuracy(predict: Predict, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose largest logit is that of their label."""
    return float((predict(images).argmax(-1) == labels).mean())


def digits(
    image_size: int = 28, per_class: int | None = None, margin: int = 0
) -> tuple[DatasetInfo, ArraySource, ArraySource]:
    """The embedded digits: what they are, a training and a test source; nothing is held out.

    Args:
      image_size: height and width.
      per_class: training images of each digit; None takes all.
      margin: black pixels on each side of the image, so that a digit can be shifted by as many
        and stay whole. The digits themselves fill their images.
    """
    dataset = data.load(
        "digits",
        image_size=image_size - 2 * margin,
        validation_fraction=0.0,
        train_examples_per_class=per_class,
    )
    train, test = (_framed(dataset.splits[name], margin) for name in ("train", "test"))
    mean, std = channel_statistics(train)
    shape = (image_size, image_size, 1)
    return dataclasses.replace(dataset.info, image_shape=shape, mean=mean, std=std), train, test


def _framed(source: ArraySource, margin: int) -> ArraySource:
    sides = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    return ArraySource(np.pad(source.images, sides), source.labels)


def mean_and_spread(values: list[float]) -> dict[str, float]:
    """Mean and (sample) standard deviation, rounded to what is worth telling."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 4), "std": round(spread, 4)}
