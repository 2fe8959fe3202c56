"""Imports torchvision, also where its compiled operators are missing."""

import importlib
import sys
from types import ModuleType


def import_torchvision(module: str) -> ModuleType:
    """Returns a module of torchvision, e.g. `models`.

    Builds without compiled operators import once two of those are declared; others bring them.
    """
    import torch

    try:
        return importlib.import_module(f"torchvision.{module}")
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # whose end would take the declarations back
        return importlib.import_module(f"torchvision.{module}")
