"""A functional research framework for convolutional networks in JAX and Flax.

    model = cnnlab.create_model("resnet18", num_classes=10, stem="cifar")
    dataset = cnnlab.data.load("digits")
    step = cnnlab.train.make_train_step(model, task, tx)

Importing this is cheap: names are imported when they are first used; `__init__.pyi` lists them.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
