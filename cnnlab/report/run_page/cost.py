"""What a run's network costs."""

from cnnlab.analysis.summary import summarize, total_activation_bytes, total_macs
from cnnlab.errors import UserError
from cnnlab.models.catalog import BASELINES
from cnnlab.report.run_page.run_record import RunRecord
from cnnlab.train.experiment import build_experiment


def run_cost(record: RunRecord) -> dict[str, int | None]:
    """Parameters, and cost per image of the run's data; None for a baseline or unknown data.

    `activation_bytes`, those of all layers' outputs in the dtype of computation, is approximately
    the memory that training needs for the backward pass. A network that cannot be built is a
    problem of the record, which is added to `record.problems`.
    """
    cost = dict.fromkeys(("params", "weight_bytes", "macs", "activation_bytes"))
    if record.info is None or record.config.model.name in BASELINES:
        return cost
    try:
        model = build_experiment(record.config, record.info).model
        layers = summarize(model, record.info.image_shape)
    except UserError as error:
        record.problems.append(str(error))
        return cost
    params = sum(layer.params for layer in layers)
    sizes = (params, 4 * params, total_macs(layers), total_activation_bytes(layers))  # float32
    return dict(zip(cost, sizes, strict=True))
