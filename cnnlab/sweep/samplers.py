"""Samplers by their names."""

from cnnlab.sweep.call import read_call
from cnnlab.sweep.informed_sampler import CmaEsSampler, InformedSampler, TpeSampler
from cnnlab.sweep.sampler import GridSampler, RandomSampler, Sampler, SobolSampler
from cnnlab.sweep.space import Space

SAMPLERS = {
    "grid": GridSampler,
    "random": RandomSampler,
    "sobol": SobolSampler,
    "tpe": TpeSampler,
    "cmaes": CmaEsSampler,
}


def make_sampler(text: str, space: Space, *, seed: int, direction: str) -> Sampler:
    """Builds the sampler that a text names: `grid`, `random`, `sobol`, `tpe(startup=20)`, `cmaes`.

    Args:
      text: its name, for tpe with the number of random trials at the start.
      space: to draw from.
      seed: of the study.
      direction: `maximize` or `minimize`.

    Raises:
      UserError: an unknown name or option, or a space that the sampler cannot search.
    """
    name, options = read_call(text, "sampler", {n: ("startup",) * (n == "tpe") for n in SAMPLERS})
    if issubclass(SAMPLERS[name], InformedSampler):
        return SAMPLERS[name](space, seed=seed, direction=direction, **options)
    return SAMPLERS[name](space, seed=seed)
