"""Times training steps of several LeNets side by side against PyTorch's `torch.func`.

    python benchmarks/population_step.py
    python benchmarks/population_step.py --networks='64 x lenet' --rounds=9 --json=result.json

Every network has weights, random draws and batches of its own. Ours are rows of a population, as a
sweep trains them; PyTorch's are stacked, with gradients under `vmap`, and compiled. What a whole
population takes from its start to its last result on the disk is told by `population.py`.
"""

import _networks
import _throughput

SIDES = {"cnnlab": _networks.cnnlab_population, "torch.func": _networks.torch_population}

if __name__ == "__main__":
    _throughput.compare(__file__, SIDES, list(_networks.POPULATIONS))
