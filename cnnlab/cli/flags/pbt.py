r"""Train a population whose worst members copy the best: a schedule of hyper-parameters in one go.

usage: python launch.py pbt --config=EXPERIMENT --param=PATH=RANGE ... --every_steps=N \
           [--study=FOLDER] [FLAGS]

  python launch.py pbt --config=mlp_digits --param='optimizer.learning_rate=log(1e-4, 1e-1)' \
      --param='model.options.dropout_rate=uniform(0, 0.5)' --every_steps=100 --members=16

Every --every_steps updates the members are evaluated on the validation split; the worst copy
weights and optimizer state of the best and perturb their hyper-parameters (Jaderberg et al. 2017).
Ranges: log(a, b) and uniform(a, b) of numbers that do not change the program (docs/populations.md).

Members are ordinary runs in FOLDER/members. The same command resumes a stopped training.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config()
    define.string("study", None, "Folder of the population; runs/EXPERIMENT_pbt by default.")
    define.multi_string("param", [], "PATH=RANGE of a hyper-parameter.")
    define.integer("every_steps", None, "Updates between two rounds of copying.")
    define.integer("members", 8, "Number of members.")
    define.float(
        "truncation", 0.2, "Share of members that copy others, and of those that are copied."
    )
    define.float(
        "resample",
        0.25,
        "Probability that a hyper-parameter of a copy is redrawn; otherwise it is multiplied by "
        "0.8 or 1.2.",
    )
    define.enum(
        "mode",
        "auto",
        ("auto", "vmap", "shared"),
        "Train members side by side in one program, or in turn; auto chooses the faster.",
    )
    define.json()
