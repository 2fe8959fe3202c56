"""FCN-32s on the scenes of `unet_digit_scenes`, for comparison: as many updates, without skips.

Mean IoU 7.76 % (seed 0): it calls everything background. A stride of 32 leaves of 48 pixels a map
of one, from which no place of a digit can be read; the paper's images were 500 pixels wide. With
the skips of FCN-8s, which are added to the coarse scores, it is 47.57 %.

    python launch.py train --config=fcn32s_digit_scenes
    python launch.py train --config=fcn32s_digit_scenes --config.model.name=fcn8s
"""

import dataclasses

from cnnlab.config import Config, ModelConfig, load_experiment


def get_config() -> Config:
    options = {"encoder": "vgg11_bn", "encoder_options": {"width": 16}, "hidden": ()}
    return dataclasses.replace(
        load_experiment("unet_digit_scenes"), model=ModelConfig(name="fcn32s", options=options)
    )
