"""A state or an image that is cut over devices trains as one that is not, in less memory."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from cnnlab import create_model
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.tasks import Classification, Segmentation
from cnnlab.train import create_state, make_train_step
from cnnlab.train.runtime.devices import check_divisible, check_rows, make_parallel


def memory(compiled):
    """Bytes on each device: what comes in, and what is needed in between."""
    found = compiled.memory_analysis()
    return found.argument_size_in_bytes, found.temp_size_in_bytes


def trained(parallel, model, task, batch, *, steps=3):
    """The state after a few steps, and the compiled step."""
    tx = optax.adam(1e-3)
    state = create_state(model, tx, image_shape=batch["image"].shape[1:], seed=0)
    step = make_train_step(model, task, tx, apply=parallel.around(model.apply))
    call = parallel.compile_train(lambda state, batch, hparams: step(state, batch, hparams)[0])
    state, batch = parallel.replicate(state), parallel.shard(batch)
    compiled = call.lower(state, batch, {}).compile()
    for _ in range(steps):
        state = compiled(state, batch, {})
    return state, compiled


def random_batch(shape, *, label_maps):
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=shape).astype(np.float32),
        "label": rng.integers(0, 3, shape[:3] if label_maps else shape[:1]),
        "mask": np.ones(shape[0], np.float32),
    }


def assert_close(left, right):
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        # Adam divides by the size of a gradient, so a tiny one's last bits are seen.
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-3, atol=1e-4)


def test_parameters_and_optimizer_state_are_cut():
    model = create_model("mlp", num_classes=3, hidden=(512, 512))
    batch = random_batch((16, 8, 8, 3), label_maps=False)
    plain, before = trained(make_parallel("jit", 8), model, Classification(3), batch)
    parallel = make_parallel("jit", 8, parameters=4)
    assert parallel.num_shares == 8
    cut, after = trained(parallel, model, Classification(3), batch)
    assert_close(jax.device_get(plain), jax.device_get(cut))
    kernel = cut.params["backbone"]["dense2"]["kernel"]
    assert kernel.shape == (512, 512) and kernel.sharding.spec == P(None, "parameters")
    assert kernel.addressable_shards[0].data.shape == (512, 128)
    moment = cut.opt_state[0].mu["backbone"]["dense2"]["kernel"]
    assert moment.addressable_shards[0].data.shape == (512, 128)
    # A quarter of the state lies on each device, beside its batch.
    assert memory(after)[0] < 0.3 * memory(before)[0]
    whole = parallel.collect(parallel.whole(cut.params))
    assert whole["backbone"]["dense2"]["kernel"].sharding.num_devices == 1


def test_rows_of_images_are_cut():
    """Through every kind of layer of a U-Net: seams show in no pixel."""
    model = create_model("unet", num_classes=3, levels=2, width=4, norm="batch")
    batch = random_batch((2, 64, 64, 3), label_maps=True)
    task = Segmentation(3)
    plain, before = trained(make_parallel("jit", 1), model, task, batch)
    cut, after = trained(make_parallel("jit", 4, height=4), model, task, batch)
    assert_close(jax.device_get(plain), jax.device_get(cut))
    assert memory(after)[1] < 0.5 * memory(before)[1]


def test_a_run_may_go_on_with_another_cut(tiny_config, tmp_path):
    from cnnlab.train import fit
    from tests.train.test_loop import Quiet, final_state, rows

    config = apply_overrides(
        tiny_config,
        {"num_devices": 4, "model.options.hidden": [128, 64], "checkpoint.every_steps": 10},
    )
    fit(config, tmp_path / "plain", callbacks=[Quiet()])

    def stop():
        raise RuntimeError("as if killed")

    first = apply_overrides(config, {"sharding.parameters": 4})
    with pytest.raises(RuntimeError, match="as if killed"):
        fit(first, tmp_path / "cut", callbacks=[Quiet(14, stop)])
    display = Quiet()
    fit(apply_overrides(config, {"sharding.parameters": 2}), tmp_path / "cut", callbacks=[display])
    assert "Resuming at step 10 of 20." in display.notes
    for one, other in zip(rows(tmp_path / "plain"), rows(tmp_path / "cut"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert_close(
        final_state(config, tmp_path / "plain").state["state"].params,
        final_state(config, tmp_path / "cut").state["state"].params,
    )


def test_impossible_cuts_are_told():
    with pytest.raises(UserError, match=r"parameters=3 .* does not divide the 8 device"):
        make_parallel("jit", 8, parameters=3)
    with pytest.raises(UserError, match="needs parallel=jit"):
        make_parallel("pmap", 8, height=2)
    parallel = make_parallel("jit", 8, height=4)
    check_divisible(2, parallel)
    with pytest.raises(UserError, match="use a multiple of 2"):
        check_divisible(3, parallel)
    with pytest.raises(UserError, match="Images of 30 rows cannot be divided evenly"):
        check_rows(30, parallel)
