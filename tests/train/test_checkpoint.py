"""Saving and restoring: values, structure, retention, and the errors of a mistaken request."""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.errors import UserError
from cnnlab.storage import manifest
from cnnlab.train.checkpoints.writer import CheckpointReader, CheckpointWriter


@flax.struct.dataclass
class TrainState:
    step: Any
    params: Any
    opt_state: Any
    batch_stats: Any
    rng: Any


def small_state(step):
    return {"w": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) + step, "step": jnp.int32(step)}


def abstract(state):
    return jax.eval_shape(lambda: state)


def assert_same(restored, saved):
    """Same structure, types and bits."""
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    for got, wanted in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
        wanted = jnp.asarray(wanted)
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        if jax.dtypes.issubdtype(wanted.dtype, jax.dtypes.prng_key):
            assert jax.random.key_impl(got) == jax.random.key_impl(wanted)
            got, wanted = jax.random.key_data(got), jax.random.key_data(wanted)
        assert np.asarray(got).tobytes() == np.asarray(wanted).tobytes()


def optax_state():
    """A flax dataclass with a chain of masks, accumulation and Adam, after an update."""
    params = {
        "backbone": {"conv": {"kernel": jnp.linspace(-1, 1, 24).reshape(2, 3, 4)}},
        "head": {"kernel": jnp.full((4, 3), 0.1), "bias": jnp.zeros((3,))},
    }
    decayed = {"backbone": {"conv": {"kernel": True}}, "head": {"kernel": True, "bias": False}}
    frozen = jax.tree.map(lambda _: False, params) | {"backbone": {"conv": {"kernel": True}}}
    tx = optax.MultiSteps(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.masked(optax.add_decayed_weights(1e-4), decayed),
            optax.masked(optax.set_to_zero(), frozen),
            optax.inject_hyperparams(optax.adamw)(learning_rate=0.1),
        ),
        every_k_schedule=2,
    )
    opt_state = tx.init(params)
    for _ in range(3):
        updates, opt_state = tx.update(jax.tree.map(jnp.ones_like, params), opt_state, params)
        params = optax.apply_updates(params, updates)
    return TrainState(
        step=3, params=params, opt_state=opt_state, batch_stats={}, rng=jax.random.key(7)
    )


def test_optax_and_flax_state_round_trip(tmp_path):
    state = optax_state()
    with CheckpointWriter(tmp_path) as writer:
        writer.save(3, state, meta={"classes": ["a", "b"], "seed": 0})
        writer.wait()
        step, restored, meta = writer.restore(abstract(state))
    assert step == 3
    assert meta == {"classes": ["a", "b"], "seed": 0}
    assert_same(restored, state)


def test_every_type_is_restored_bit_for_bit(tmp_path):
    odd_floats = np.array([np.nan, -0.0, np.inf, 1e-45, 3.4e38], np.float32)
    odd_floats.view(np.uint32)[0] |= 0x1234  # a NaN with a payload
    state = {
        "float32": jnp.asarray(odd_floats),
        "bfloat16": jnp.asarray([1.5, -2.25, np.inf], jnp.bfloat16),
        "float16": jnp.asarray([1.5, 6e-8], jnp.float16),
        "int32": jnp.asarray([-(2**31), 2**31 - 1], jnp.int32),
        "uint32": jnp.asarray([0, 2**32 - 1], jnp.uint32),
        "uint8": jnp.arange(5, dtype=jnp.uint8),
        "bool": jnp.asarray([True, False]),
        "scalars": (1, 2.5, True, jnp.float32(3), np.int32(4)),
        "raw key": jax.random.PRNGKey(3),
        "typed keys": jax.random.split(jax.random.key(5), (2, 3)),
        "another generator": jax.random.key(5, impl="rbg"),
        "no element": jnp.zeros((0, 3)),
        "nothing": {"none": None, "dict": {}, "tuple": (), "state": optax.EmptyState()},
        "a/b.c": {"": jnp.ones((2, 2))},
    }
    with CheckpointWriter(tmp_path) as writer:
        writer.save(0, state)
        writer.wait()
        assert_same(writer.restore(abstract(state)).state, state)


def test_float64_is_not_rounded(tmp_path):
    state = {"x": np.array([1 / 3, 2e300])}
    with CheckpointWriter(tmp_path) as writer:
        writer.save(0, state)
        restored = writer.restore(state).state
    assert restored["x"].dtype == np.float64
    assert restored["x"].tobytes() == state["x"].tobytes()


def test_the_state_may_be_donated_and_overwritten_at_once(tmp_path):
    step_function = jax.jit(lambda x: x + 1, donate_argnums=0)
    device, host = jnp.zeros((400, 400)), np.zeros((400, 400), np.float32)
    with CheckpointWriter(tmp_path, keep=6) as writer:
        for step in range(6):
            writer.save(step, {"device": device, "host": host})
            device = step_function(device)
            device = step_function(device)
            host += 2
        for step in range(6):
            restored = writer.restore({"device": device, "host": host}, step).state
            np.testing.assert_array_equal(restored["device"], np.full((400, 400), 2.0 * step))
            np.testing.assert_array_equal(restored["host"], np.full((400, 400), 2.0 * step))


def test_a_restored_state_may_be_donated(tmp_path):
    step_function = jax.jit(lambda x: x + 1, donate_argnums=0)
    with CheckpointWriter(tmp_path) as writer:
        writer.save(0, {"x": jnp.ones((64, 64))})
        restored = writer.restore({"x": jnp.ones((64, 64))}).state["x"]
    for _ in range(3):
        restored = step_function(restored)
    np.testing.assert_array_equal(restored, np.full((64, 64), 4.0))


def test_latest_and_best_are_kept(tmp_path):
    metrics = {1: 0.1, 2: 0.9, 3: None, 4: 0.5, 5: float("nan"), 6: None, 7: 0.2}
    with CheckpointWriter(tmp_path, keep=2) as writer:
        for step, metric in metrics.items():
            writer.save(step, small_state(step), metric=metric)
        writer.wait()
        assert writer.steps() == [2, 6, 7]
        assert writer.best_step() == 2
        assert writer.restore(small_state(0), "best").step == 2
        assert writer.restore(small_state(0)).step == 7
        writer.save(8, small_state(8), metric=0.95)
        writer.wait()
        assert writer.steps() == [7, 8]
    reader = CheckpointReader(tmp_path)
    assert reader.steps() == [7, 8]
    assert reader.best_step() == 8
    assert {path.name for path in reader.directory.iterdir()} == {"7", "8", ".lock"}


def test_smallest_is_best_with_mode_min_for_a_reader_too(tmp_path):
    with CheckpointWriter(tmp_path, keep=1, mode="min") as writer:
        for step, metric in enumerate([3.0, 1.0, 2.0, None]):
            writer.save(step, small_state(step), metric=metric)
    reader = CheckpointReader(tmp_path)
    assert reader.steps() == [1, 3]
    assert reader.best_step() == 1
    assert_same(reader.restore(small_state(0), "best").state, small_state(1))


def test_best_without_any_metric_is_the_latest_and_says_so(tmp_path):
    told = []
    with CheckpointWriter(tmp_path) as writer:
        for step in range(2):
            writer.save(step, small_state(step))
    reader = CheckpointReader(tmp_path, report=told.append)
    assert reader.best_step() is None
    assert reader.restore(small_state(0), "best").step == 1
    assert len(told) == 1
    assert "has a metric" in told[0]


def test_a_run_goes_on_where_another_process_left_it(tmp_path):
    for first in (0, 3):
        with CheckpointWriter(tmp_path, keep=2) as writer:
            assert writer.steps() == ([0, 1, 2] if first else [])
            for step in range(first, first + 3):
                writer.save(step, small_state(step), metric=-step)
            writer.wait()
            assert writer.steps()[-1] == first + 2
    assert CheckpointReader(tmp_path).steps() == [0, 4, 5]


def test_a_saved_step_is_not_saved_again(tmp_path):
    with CheckpointWriter(tmp_path) as writer:
        assert writer.save(1, small_state(1))
        assert not writer.save(1, small_state(2))
        assert_same(writer.restore(small_state(0), 1).state, small_state(1))


def test_going_back_moves_the_later_steps_out_of_the_way(tmp_path):
    told = []
    with CheckpointWriter(tmp_path, keep=3, report=told.append) as writer:
        for step in (10, 20, 30):
            writer.save(step, small_state(step))
        writer.restore(small_state(0), 10)
        assert told == []
        writer.save(15, small_state(15))
        writer.wait()
        assert writer.steps() == [10, 15]
        assert writer.restore(small_state(0)).step == 15
        superseded = writer.directory / "superseded"
    assert {path.name for path in superseded.iterdir()} == {"20", "30"}
    assert len(told) == 2
    assert str(superseded / "20") in told[0]


def test_sharding_of_the_asked_state_is_that_of_the_restored(tmp_path):
    mesh = jax.make_mesh((len(jax.devices()),), ("data",))
    replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    state = jax.device_put({**small_state(3), "rng": jax.random.key(1)}, replicated)
    with CheckpointWriter(tmp_path) as writer:
        writer.save(3, state)
        asked = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), state
        )
        restored = writer.restore(asked).state
        assert all(leaf.sharding == replicated for leaf in jax.tree.leaves(restored))
        assert_same(restored, state)
        alone = writer.restore(abstract(small_state(3)) | {"rng": abstract(state["rng"])}).state
        assert_same(alone, state)
        assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(alone))


def test_restored_on_another_number_of_devices(tmp_path):
    with CheckpointWriter(tmp_path) as writer:
        writer.save(3, small_state(3))
    program = """
        import sys
        import jax, jax.numpy as jnp
        from cnnlab.train.checkpoints.writer import CheckpointReader
        mesh = jax.make_mesh((8,), ("data",))
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        leaf = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=everywhere)
        asked = {"w": leaf((2, 3), jnp.float32), "step": leaf((), jnp.int32)}
        state = CheckpointReader(sys.argv[1]).restore(asked).state
        assert len(state["w"].devices()) == 8
        print(state["w"].tolist(), int(state["step"]))
    """
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env=os.environ | flags,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "[[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]] 3"


def test_no_checkpoint_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint in .*checkpoints; run train first"):
        CheckpointReader(tmp_path / "absent").restore(small_state(0))
    assert not (tmp_path / "absent").exists()
    with (
        CheckpointWriter(tmp_path) as writer,
        pytest.raises(UserError, match="run train first"),
    ):
        writer.restore(small_state(0), 3)


def test_a_missing_step_is_refused_with_the_present_ones(tmp_path):
    with CheckpointWriter(tmp_path, keep=3) as writer:
        for step in (1, 2):
            writer.save(step, small_state(step))
        with pytest.raises(UserError, match=r"Checkpoint 7 .* does not exist. Undamaged: 1, 2\."):
            writer.restore(small_state(0), 7)
        with pytest.raises(UserError, match="'newest'; ask for 'latest', 'best' or a step"):
            writer.restore(small_state(0), "newest")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s | {"w": jnp.zeros((2, 5))},
            r"w is float32\[2,3\] in the checkpoint and float32\[2,5\] in the requested state",
        ),
        (
            lambda s: s | {"w": jnp.zeros((2, 3), jnp.bfloat16)},
            r"w is float32\[2,3\] in the checkpoint and bfloat16\[2,3\]",
        ),
        (
            lambda s: s | {"ema": {"w": jnp.zeros(2)}},
            r"ema/w \(float32\[2\] in the requested state\) is not in the checkpoint",
        ),
        (
            lambda s: {"step": s["step"]},
            r"w \(float32\[2,3\] in the checkpoint\) is not in the requested state",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_named_and_nothing_moves(tmp_path, change, message):
    with CheckpointWriter(tmp_path) as writer:
        for step in (1, 2):
            writer.save(step, small_state(step))
        with pytest.raises(UserError, match=f"Checkpoint 2 .* does not fit the model: {message}"):
            writer.restore(change(small_state(0)))
        assert writer.steps() == [1, 2]


def test_mistakes_in_saving(tmp_path):
    with CheckpointWriter(tmp_path) as writer:
        with pytest.raises(UserError, match="must be JSON"):
            writer.save(1, small_state(1), meta={"x": jnp.ones(2)})
        with pytest.raises(UserError, match="'a/b'"):
            writer.save(1, {"a/b": 1, "a": {"b": 2}})
        assert writer.steps() == []
    with pytest.raises(UserError, match="keep must be at least 1, not 0"):
        CheckpointWriter(tmp_path, keep=0)
    with pytest.raises(UserError, match="'max' or 'min', not 'best'"):
        CheckpointWriter(tmp_path, mode="best")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write checkpoints to"):
        CheckpointWriter(tmp_path / "file")


def test_meta_is_a_snapshot(tmp_path):
    meta = {"seen": [1]}
    with CheckpointWriter(tmp_path) as writer:
        writer.save(1, small_state(1), meta=meta)
        meta["seen"].append(2)
        assert writer.restore(small_state(0)).meta == {"seen": [1]}


def test_only_one_process_writes(tmp_path):
    program = (
        "import sys; from cnnlab.train.checkpoints.writer import CheckpointWriter\n"
        "CheckpointWriter(sys.argv[1]).close()"
    )
    open_elsewhere = [sys.executable, "-c", program, str(tmp_path)]
    with CheckpointWriter(tmp_path) as writer:
        writer.save(1, small_state(1))
        refused = subprocess.run(open_elsewhere, capture_output=True, text=True)
        assert refused.returncode != 0
        assert f"UserError: Process {os.getpid()} is writing into" in refused.stderr
    assert subprocess.run(open_elsewhere).returncode == 0


def test_any_reader_of_orbax_reads_the_arrays_by_name(tmp_path):
    import orbax.checkpoint as ocp

    with CheckpointWriter(tmp_path) as writer:
        writer.save(4, {"params": {"head": {"bias": jnp.arange(3)}}}, meta={"seed": 1}, metric=0.5)
    with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
        assert manager.latest_step() == 4
    with ocp.StandardCheckpointer() as checkpointer:
        read = checkpointer.restore(tmp_path / "checkpoints" / "4")
    np.testing.assert_array_equal(read["params/head/bias"], np.arange(3))
    info = manifest.read_info(tmp_path / "checkpoints" / "4")
    assert info["meta"] == {"seed": 1}
    assert info["metric"] == 0.5
    assert json.dumps(info)
