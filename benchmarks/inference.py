"""Times forward passes of cnnlab against the same networks in PyTorch, side by side.

    python benchmarks/inference.py
    python benchmarks/inference.py --networks=unet --rounds=9 --json=result.json

Images lie in memory already; batch norm takes its running statistics. PyTorch runs in eval mode
under `torch.inference_mode`, `channels_last`, eager as well as compiled, and in bfloat16 on an
accelerator, as ours does. Each side lives in a process of its own; they take turns.
"""

import functools

import _networks
import _throughput

SIDES = {
    "cnnlab": _networks.cnnlab_predict,
    "torch": functools.partial(_networks.torch_predict, compiled=False),
    "torch.compile": functools.partial(_networks.torch_predict, compiled=True),
}

if __name__ == "__main__":
    _throughput.compare(__file__, SIDES, list(_networks.NETWORKS))
