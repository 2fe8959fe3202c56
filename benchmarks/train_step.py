"""Times training steps of cnnlab against the same networks in PyTorch, side by side.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --networks=resnet18 --rounds=9 --json=result.json

Both sides get images that lie in memory already, and do the whole step: forward, softmax
cross-entropy, backward, SGD with momentum 0.9 and weight decay. PyTorch runs as its users run it:
eager and `channels_last`; on an accelerator compiled and in bfloat16, as ours is. Each side has its
own process; they take turns, round by round, so that other work on the machine hits both.
"""

import _networks
import _throughput

SIDES = {"cnnlab": _networks.cnnlab_train, "torch": _networks.torch_train}

if __name__ == "__main__":
    _throughput.compare(__file__, SIDES, list(_networks.NETWORKS))
