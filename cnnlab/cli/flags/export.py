"""Export a trained network to other libraries: its weights, or a program that contains them.

usage: python launch.py export --workdir=FOLDER --out=FILE [--format=safetensors]

  python launch.py export --workdir=runs/resnet18 --naming=timm --out=resnet18.safetensors
  python launch.py export --workdir=runs/lenet --format=stablehlo --out=lenet.stablehlo
  python launch.py export --workdir=runs/lenet --format=onnx --out=lenet.onnx

safetensors: the weights under the names of the same network in torchvision, timm or
segmentation_models_pytorch (--naming=smp), where they load with strict=True. The file's metadata
name that network, the classes, and the mean and standard deviation that normalise images.

stablehlo: a program for jax.export.deserialize, on CPU, GPU and TPU. onnx: the same program for
ONNX runtimes, compared with the network after writing. Both map uint8 images of the run's size to
probabilities. onnx needs `pip install 'cnnlab[onnx]'`, then `pip install --no-deps jax2onnx`: with
its dependencies, pip would replace Orbax, which reads checkpoints, by an older version.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.run()
    define.string("out", None, "The file to write.")
    define.enum(
        "format", "safetensors", ["safetensors", "stablehlo", "onnx"], "Format of the file."
    )
    define.string(
        "naming", "torchvision", "Library whose names are used: torchvision, timm or smp."
    )
    define.integer(
        "batch_size",
        None,
        "Batch size of every call of a program; unset leaves it open.",
        lower_bound=1,
    )
