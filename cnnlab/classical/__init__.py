"""Classical baselines: hand-crafted features and a linear classifier.

`fit` and `load_run` mirror those of `cnnlab.train`, with the same data, metrics and run folder.
Names are imported when they are first used; `__init__.pyi` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
