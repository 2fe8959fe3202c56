"""Search a learning rate: raise it over a short run, and see where the loss falls fastest.

usage: python launch.py find_lr [--config=EXPERIMENT] [--out=find_lr.png] [--steps=100] [--json]

The picture shows the loss over the learning rate; nothing else is written.
"""

import json

from absl import flags

from cnnlab.cli.arguments import refuse_positional
from cnnlab.cli.config_flags import define_config_flag, resolve_config
from cnnlab.cli.platform import enable_compilation_cache


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values)
    flags.DEFINE_string("out", "find_lr.png", "The picture to write.", flag_values=values)
    flags.DEFINE_integer("steps", 100, "Updates of the search.", flag_values=values)
    flags.DEFINE_float("lowest", 1e-5, "First learning rate.", flag_values=values)
    flags.DEFINE_float("highest", 10.0, "Last learning rate.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Searches, draws, and says how to use the result."""
    refuse_positional("find_lr", positional)
    config = resolve_config(values.config, overrides)
    enable_compilation_cache()
    from cnnlab.report.figures import plot_learning_rates
    from cnnlab.train import find_learning_rate, load_data, make_setup

    dataset = load_data(config)
    search = find_learning_rate(
        make_setup(config, dataset.info),
        dataset,
        lowest=values.lowest,
        highest=values.highest,
        num_steps=values.steps,
    )
    plot_learning_rates(search.rates, search.losses, search.smoothed, search.suggestion).savefig(
        values.out
    )
    if values.json:
        print(json.dumps({"suggestion": search.suggestion, "picture": values.out}))
        return 0
    print(
        f"suggested learning rate: {search.suggestion:.2g}  (picture: {values.out})\n"
        f"  python launch.py train --config={values.config} "
        f"--config.optimizer.learning_rate={search.suggestion:.2g}"
    )
    return 0
