"""Data sets other than a run's own, as the run sees them: to score it on, e.g. from elsewhere."""

import dataclasses

from cnnlab.data import Dataset
from cnnlab.data.describe import ALL
from cnnlab.data.loading import load_own
from cnnlab.data.reconcile import to_run_labels
from cnnlab.data.statistics import class_counts, observed_values
from cnnlab.errors import UserError, did_you_mean
from cnnlab.inference.run import Run


def other_data(run: Run, name: str, split: str | None = None) -> Dataset:
    """One split of another data set, with the run's image shape, classes and normalisation.

    Nothing is held out. The data set may lack classes of the run, but has no others.

    Args:
      run: a network or a baseline.
      name: name of the data set, e.g. `folder:PATH`.
      split: None takes `test`, and all of a data set without splits, which is called `all`.

    Raises:
      UserError: the data cannot be read; a class that the run does not know; images of another
        shape or type; no such split.
    """
    config, info = run.config, run.info
    if name == config.data.name:
        raise UserError(f"data={name} is the run's own data set: name a split of it instead.")
    own = load_own(
        name,
        task=config.task,
        image_size=config.data.image_size,
        data_dir=config.data.data_dir,
        mask_suffix=config.data.mask_suffix,
        record=run.data,
    )
    own.check()
    whole = split is None and "test" not in own.splits and len(own.splits) == 1
    chosen = next(iter(own.splits)) if whole else split or "test"
    if chosen not in own.splits:
        raise UserError(
            f"split='{chosen}': {name} has no such split.{did_you_mean(chosen, own.splits)}"
        )
    source = to_run_labels(own.splits[chosen], own, run.data)
    image = source[0]["image"]
    if (image.shape, str(image.dtype)) != (info.eval_shape, info.dtype):
        shape, ours = ("x".join(map(str, size)) for size in (image.shape, info.eval_shape))
        raise UserError(
            f"data={name}: its images are {image.dtype} of {shape}, and those of the run "
            f"{info.dtype} of {ours}: convert them first."
        )
    key = ALL if whole else chosen
    counts = class_counts(source, info.num_classes)
    described = dataclasses.replace(
        info,
        name=name,
        file_sizes=own.form and own.form.file_sizes,
        num_examples={key: len(source)},
        split_rules={key: "the data set's own"},
        digests={},
        class_counts={key: counts.of_classes} if counts else {},
        ignored={key: counts.ignored} if counts and counts.ignored is not None else {},
        observed=observed_values(source),
        left_out=own.left_out,
    )
    return Dataset(described, {key: source}, notes=own.notes)
