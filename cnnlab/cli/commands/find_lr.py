"""Runs `launch.py find_lr`; its help and its flags are `cnnlab.cli.flags.find_lr`."""

import json

from absl import flags

from cnnlab.cli.arguments import check_picture, to_stderr
from cnnlab.cli.config_flags import resolve_config
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.data.describe import describe
from cnnlab.program import program
from cnnlab.report.figures.run import plot_learning_rates
from cnnlab.storage.output_file import output_file
from cnnlab.train import build_experiment, find_learning_rate, load_data


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Searches a learning rate, draws the search, and prints how to use the result."""
    config = resolve_config(values.config, overrides)
    check_picture(values.out)
    enable_compilation_cache()
    dataset = load_data(config)
    search = find_learning_rate(
        build_experiment(config, dataset.info),
        dataset,
        lowest=values.lowest,
        highest=values.highest,
        num_steps=values.steps,
        num_sweeps=values.sweeps,
    )
    for line in describe(dataset):
        to_stderr(line)
    figure = plot_learning_rates(search.rates, search.losses, search.smoothed, search.suggestion)
    with output_file(values.out) as temporary:
        figure.savefig(temporary)
    if values.json:
        print(
            json.dumps(
                {
                    "suggestion": search.suggestion,
                    "verified": search.verified,
                    "picture": values.out,
                }
            )
        )
        return
    if not search.verified:
        print(
            f"warning: {values.steps} steps at this rate did not lower the loss: take more --steps."
        )
    print(
        f"suggested learning rate: {search.suggestion:.2g}  (picture: {values.out})\n"
        f"  {program()} train --config={values.config} "
        f"--config.optimizer.learning_rate={search.suggestion:.2g}"
    )
