"""Typed configuration of an experiment: fields, overrides, validation, files."""

from cnnlab.config.files import experiment_names, load_experiment, load_sweep
from cnnlab.config.options import check_options
from cnnlab.config.overrides import apply_overrides
from cnnlab.config.schema import (
    AugmentConfig,
    CheckpointConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    FinetuneConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    ShardingConfig,
)
from cnnlab.config.serialize import EXECUTION_FIELDS, differences, flat_fields, from_json, to_json
from cnnlab.config.validate import validate

__all__ = [
    "EXECUTION_FIELDS",
    "AugmentConfig",
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "FinetuneConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "ShardingConfig",
    "apply_overrides",
    "check_options",
    "differences",
    "experiment_names",
    "flat_fields",
    "from_json",
    "load_experiment",
    "load_sweep",
    "to_json",
    "validate",
]
