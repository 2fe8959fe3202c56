"""Statistics of layers, by hand and on a run."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.analysis.statistics import QUANTILES, layer_statistics
from tests.analysis.networks import one_conv


def test_by_hand():
    """The loss is the first logit, the mean of 2x + 3x over four positions and two images."""
    model, variables = one_conv()
    x = np.arange(1.0, 9.0, dtype=np.float32).reshape(2, 2, 2, 1)
    found = layer_statistics(
        model, variables, {"image": jnp.asarray(x)}, lambda logits, batch: logits[:, 0]
    )
    assert found.names == ("backbone/conv", "head/logits")
    channels = np.concatenate([2 * x, -x], axis=-1)
    assert found.mean[0] == pytest.approx(channels.mean())
    assert found.std[0] == pytest.approx(channels.std(), rel=1e-6)
    np.testing.assert_allclose(found.quantiles[0], np.quantile(channels, QUANTILES), rtol=1e-5)
    assert found.off[0] == 0.5  # channel 1 is negative everywhere
    assert found.gradient[0] == pytest.approx(np.sqrt((0.25**2 + 0.75**2) / 2))
    assert found.gradient[1] == pytest.approx(np.sqrt(1 / 2))
    assert found.weight[0] == pytest.approx(np.sqrt((4 + 1) / 2))
    # The loss is mean(x) (k_0 - 3 k_1) of the kernel k.
    assert found.weight_gradient[0] == pytest.approx(x.mean() * np.sqrt((1 + 9) / 2))


@pytest.mark.parametrize("which", ["lenet", "unet"])
def test_of_a_run(which, request):
    run = request.getfixturevalue(which)
    source = request.getfixturevalue({"lenet": "digits", "unet": "scenes"}[which])
    batch = {"image": source.images[:8], "label": source.labels[:8], "mask": np.ones(8, np.float32)}
    found = layer_statistics(
        run.experiment.model, run.variables, run.experiment.normalize()(batch), run.task.loss
    )
    assert len(set(found.names)) == len(found.names) >= 5
    for column in found[1:]:
        assert len(column) == len(found.names)
        assert np.isfinite(column).all()
    assert (found.gradient > 0).all()
    assert (found.weight_gradient > 0).any()
    assert (np.diff(found.quantiles, axis=1) >= 0).all()
    assert ((found.off >= 0) & (found.off <= 1)).all()
