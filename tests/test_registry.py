"""Registries: look-up, duplicates, and which module registered a component."""

import textwrap

import pytest

import cnnlab
from cnnlab.errors import UserError
from cnnlab.registry import REGISTRIES, Plugin, Registry


@pytest.fixture
def registry():
    """A registry whose built-in components are those of a module without any."""
    return Registry("loss", builtins="cnnlab.errors", per_task=True)


def run_as_file(path, text, **names):
    """Executes a text as if it stood in a file of its own; returns its names."""
    names |= {"__name__": path.stem, "__file__": str(path)}
    exec(compile(textwrap.dedent(text), str(path), "exec"), names)
    return names


def test_component_is_found_and_unchanged(registry):
    @registry.register("absolute")
    def absolute():
        return "absolute"

    assert absolute() == "absolute"
    assert registry.get("absolute", task="classification") is absolute
    assert registry.names() == ["absolute"]
    assert registry.find("other", task="classification") is None


def test_unknown_name_is_answered_with_the_nearest(registry):
    registry.register("absolute")(len)
    with pytest.raises(UserError, match=r"^Unknown loss 'absolut'. Did you mean 'absolute'\?$"):
        registry.get("absolut", task="classification")


def test_tasks_may_share_a_name(registry):
    registry.register("focal", task="classification")(len)
    registry.register("focal", task="segmentation")(max)
    registry.register("any_task")(min)
    assert registry.get("focal", task="classification") is len
    assert registry.get("focal", task="segmentation") is max
    assert registry.names(task="segmentation") == ["focal", "any_task"]
    registry.register("dice", task="segmentation")(len)
    with pytest.raises(UserError, match="'dice' is for segmentation, not classification"):
        registry.get("dice", task="classification")
    with pytest.raises(UserError, match="Choose from: any_task, dice, focal"):
        registry.get("zzz", task="segmentation")


def test_name_of_another_module_is_refused(registry, tmp_path):
    text = "@registry.register('mine')\ndef mine(): ..."
    run_as_file(tmp_path / "first.py", text, registry=registry)
    with pytest.raises(UserError) as caught:
        run_as_file(tmp_path / "second.py", text, registry=registry)
    assert str(caught.value) == (
        f"The loss 'mine' of {tmp_path}/second.py has the name of another one, of "
        f"{tmp_path}/first.py: choose another name."
    )


def test_module_that_runs_again_replaces_its_own(registry, tmp_path):
    text = "@registry.register('mine')\ndef mine(): return version"
    run_as_file(tmp_path / "first.py", text, registry=registry, version=1)
    run_as_file(tmp_path / "first.py", text, registry=registry, version=2)
    assert registry.get("mine")() == 2


def test_name_of_a_builtin_component_is_refused():
    with pytest.raises(UserError, match=r"'cosine' of .*test_registry.py .* of cnnlab: choose"):
        cnnlab.register_schedule("cosine")(lambda peak, steps: None)


def test_plugin_is_the_module_body_that_registers(registry, tmp_path):
    helper = run_as_file(
        tmp_path / "helper.py",
        """
        def register_for_caller(registry, name):
            registry.register(name)(len)
        """,
    )
    run_as_file(
        tmp_path / "plugin.py",
        "register_for_caller(registry, 'mine')",
        registry=registry,
        register_for_caller=helper["register_for_caller"],
    )
    plugin = registry.entry("mine").plugin
    assert plugin == Plugin("plugin", tmp_path / "plugin.py")
    assert [entry.name for entry in registry.registered()] == ["mine"]


def test_metric_has_a_direction():
    with pytest.raises(UserError, match="mode='up': it must be 'max' or 'min'"):
        cnnlab.register_metric("mine", mode="up")


def test_decorators_of_all_registries_are_exported():
    kinds = {registry.kind.replace(" ", "") for registry in REGISTRIES}
    assert {f"register_{kind}" for kind in kinds} <= set(cnnlab.__all__)
    for kind in kinds:
        assert callable(getattr(cnnlab, f"register_{kind}"))
