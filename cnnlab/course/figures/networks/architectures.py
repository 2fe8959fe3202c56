"""The course's networks, block by block, at the sizes of their papers or of the book."""

from matplotlib.figure import Figure

from cnnlab.models import create_model
from cnnlab.report.figures.architecture import draw_network

# Name of the figure: of the network, image, classes.
NETWORKS = {
    "lenet": ("lenet", (28, 28, 1), 10),
    "alexnet": ("alexnet_2012", (227, 227, 3), 1000),
    "vgg": ("vgg16", (224, 224, 3), 1000),
    "nin": ("nin", (224, 224, 3), 1000),
    "googlenet": ("googlenet_v1", (224, 224, 3), 1000),
    "resnet": ("resnet18", (224, 224, 3), 1000),
    "densenet": ("densenet_d2l", (96, 96, 1), 10),
    "fcn": ("fcn32s", (224, 224, 3), 21),
    "unet": ("unet", (256, 256, 1), 2),
}


def architecture(name: str) -> Figure:
    """Blocks and costs of one of `NETWORKS`."""
    model, image_shape, classes = NETWORKS[name]
    size = "×".join(map(str, image_shape))
    network = create_model(model, num_classes=classes)
    return draw_network(network, image_shape, title=f"{model}, {size} to {classes} classes")
