"""FCN-32s on the scenes of `unet_digit_scenes`, for comparison: the same budget, without skips.

Mean IoU 7.76 % (seed 0): it calls everything background. A stride of 32 leaves of 48 pixels a map
of one, from which no place of a digit can be read; the paper's images were 500 pixels wide.

    python launch.py train --config=fcn32s_digit_scenes
"""

import dataclasses

from cnnlab.config import Config, ModelConfig, load_experiment


def get_config() -> Config:
    options = {"encoder": "vgg11_bn", "encoder_options": {"width": 16}, "hidden": ()}
    return dataclasses.replace(
        load_experiment("unet_digit_scenes"), model=ModelConfig(name="fcn32s", options=options)
    )
