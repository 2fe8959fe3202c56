"""MLflow: config, rows and result of a run as one MLflow run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.config import flat_fields
from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.train.callbacks.base import Callback, Row, RunView
from cnnlab.train.callbacks.wandb import named

# MLflow refuses more parameters in one call, and longer values.
_MOST_PARAMS, _LONGEST_PARAM = 100, 6000


class MlflowCallback(Callback):
    """Logs a run to MLflow; needs the extra `mlflow`.

    The config's fields become parameters, rows become metrics `train/loss`, `validation/accuracy`
    and so on over the step. A resumed run continues the same MLflow run: its id is kept in the
    run's folder.

    Args:
      experiment: name of the MLflow experiment, created if it does not exist.
      tracking_uri: e.g. `http://host:5000` or `sqlite:////data/mlflow.db`; None uses the
        environment variable `MLFLOW_TRACKING_URI`, else MLflow's default.
      name: name of the MLflow run; None uses the name of the run's folder.

    Raises:
      UserError: mlflow is not installed, or its server or database does not answer.
    """

    def __init__(
        self,
        *,
        experiment: str = "cnnlab",
        tracking_uri: str | None = None,
        name: str | None = None,
    ):
        try:
            import mlflow  # an optional extra
        except ImportError as error:
            raise UserError(
                "callbacks.mlflow needs the package mlflow-skinny, which is not installed: "
                "pip install 'cnnlab[mlflow]'."
            ) from error
        self._mlflow = mlflow
        self._experiment, self._uri, self._name = experiment, tracking_uri, name
        self._client: Any = None

    def on_start(self, run: RunView) -> None:
        """Starts the MLflow run, or continues it."""
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=self._uri)
            self._id = self._open(run)
        except self._mlflow.exceptions.MlflowException as error:
            first = str(error).splitlines()[0]
            raise UserError(f"callbacks.mlflow: MLflow did not start the run: {first}") from error

    def on_log(self, run: RunView, row: Row) -> None:
        """Logs a row of training."""
        self._log(row)

    def on_evaluation(self, run: RunView, row: Row) -> None:
        """Logs a row of evaluation."""
        self._log(row)

    def on_test(self, run: RunView, row: Row) -> None:
        """Logs the row of the test split."""
        self._log(row)

    def on_end(self, run: RunView, result: Mapping[str, Any] | None) -> None:
        """Ends the MLflow run; one without a result can be continued."""
        if self._client is None:
            return
        self._client.set_terminated(self._id, "KILLED" if result is None else "FINISHED")
        self._client = None

    def _open(self, run: RunView) -> str:
        path = run.workdir / "mlflow_run_id"
        if path.exists():
            known = path.read_text().strip()
            self._client.update_run(known, status="RUNNING")
            return known
        found = self._client.get_experiment_by_name(self._experiment)
        experiment = (
            found.experiment_id if found else self._client.create_experiment(self._experiment)
        )
        new = self._client.create_run(experiment, run_name=self._name or run.workdir.name)
        params = [
            self._mlflow.entities.Param(field, str(value)[:_LONGEST_PARAM])
            for field, value in flat_fields(run.config).items()
        ]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(new.info.run_id, params=params[start : start + _MOST_PARAMS])
        with atomic_write(path) as temporary:
            Path(temporary).write_text(new.info.run_id)
        return new.info.run_id

    def _log(self, row: Row) -> None:
        now = int(1000 * time.time())
        metrics = [
            self._mlflow.entities.Metric(name, float(value), now, row["step"])
            for name, value in named(row).items()
        ]
        self._client.log_batch(self._id, metrics=metrics)
