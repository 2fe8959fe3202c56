"""How often each estimate of importance names the hyper-parameter that matters.

Simulated studies of random search, like those of a small network: the accuracy has an optimum in
the learning rate, which accounts for 98 % of its variance; the model has a small effect, the weight
decay a smaller one, batch size and seed none, and there is noise.

    python benchmarks/importance.py --studies=20
"""

import argparse
import warnings

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from cnnlab.sweep.study.importance import importances
from cnnlab.sweep.study.reading import read_study

SPACE = {
    "learning_rate": FloatDistribution(1e-3, 1.0, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "model": CategoricalDistribution(("lenet", "mlp")),
    "batch_size": IntDistribution(16, 128),
    "seed": CategoricalDistribution((0, 1, 2)),
}


def simulate(trials, seed):
    """A study of so many complete trials."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize")
    for _ in range(trials):
        params = {
            "learning_rate": 10.0 ** rng.uniform(-3, 0),
            "weight_decay": 10.0 ** rng.uniform(-6, -2),
            "model": ("lenet", "mlp")[rng.integers(2)],
            "batch_size": int(rng.integers(16, 129)),
            "seed": int(rng.integers(3)),
        }
        accuracy = (
            0.98
            - 0.05 * (np.log10(params["learning_rate"]) + 1.0) ** 2
            - 0.02 * (params["model"] == "mlp")
            - 0.002 * (np.log10(params["weight_decay"]) + 4.0)
            + rng.normal(0.0, 0.005)
        )
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=SPACE, value=float(accuracy))
        )
    return study


def ours(study):
    """`cnnlab.sweep.study.importance`, without its lower limit of trials."""
    return importances(read_study(study, metric="accuracy", direction="maximize"), fewest=2)[0]


ESTIMATES = {
    "cnnlab": ours,
    "fANOVA of Optuna": lambda study: get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=0)
    ),
    "PED-ANOVA of Optuna": lambda study: get_param_importances(
        study, evaluator=PedAnovaImportanceEvaluator()
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--trials", type=int, nargs="+", default=[6, 10, 16, 24, 40])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("trials  " + "  ".join(ESTIMATES))
    for trials in arguments.trials:
        named = dict.fromkeys(ESTIMATES, 0)
        for seed in range(arguments.studies):
            study = simulate(trials, seed)
            for name, estimate in ESTIMATES.items():
                shares = estimate(study)
                named[name] += max(shares, key=shares.get) == "learning_rate"
        cells = (
            f"{100 * n / arguments.studies:.0f} %".rjust(len(name)) for name, n in named.items()
        )
        print(f"{trials:6}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
