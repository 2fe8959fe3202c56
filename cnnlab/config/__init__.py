"""Typed configuration of an experiment: fields, overrides, validation, files."""

from cnnlab.config.files import experiment_names, load_experiment, load_sweep
from cnnlab.config.options import check_options
from cnnlab.config.overrides import apply_overrides, is_switch
from cnnlab.config.plugins import with_plugins
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
from cnnlab.config.serialize import (
    differences,
    field_values,
    flat_fields,
    from_json,
    is_execution_field,
    to_json,
)
from cnnlab.config.validation import validate

__all__ = [
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
    "field_values",
    "flat_fields",
    "from_json",
    "is_execution_field",
    "is_switch",
    "load_experiment",
    "load_sweep",
    "to_json",
    "validate",
    "with_plugins",
]
