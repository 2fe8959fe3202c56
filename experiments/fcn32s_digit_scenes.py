"""FCN-32s on the scenes of `unet_digit_scenes`, for comparison: the same budget, without skips."""

import dataclasses

from cnnlab.config import Config, ModelConfig, load_experiment


def get_config() -> Config:
    options = {"encoder": "vgg11_bn", "encoder_options": {"width": 16}, "hidden": ()}
    return dataclasses.replace(
        load_experiment("unet_digit_scenes"), model=ModelConfig(name="fcn32s", options=options)
    )
