"""A type checker sees the public interface: no name is `Any`, and wrong calls are errors."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cnnlab

ROOT = Path(cnnlab.__file__).parent

WRONG = """
cnnlab.create_model(7, num_classes=10)
cnnlab.create_model("resnet18")
cnnlab.data.load("digits").splits["test"].pixels
cnnlab.train.fit("lenet_digits", "runs/x")
"""


def public_names():
    """`cnnlab.create_model` and so on: all that the package and its packages export."""
    for path in sorted({*ROOT.glob("__init__.py*"), *ROOT.glob("*/__init__.py*")}):
        package = ".".join(("cnnlab", *path.parent.relative_to(ROOT).parts))
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                yield from (f"{package}.{name.value}" for name in node.value.elts)


def test_the_public_interface_is_typed(tmp_path):
    pytest.importorskip("pyright", reason="pyright is not installed")
    names = list(public_names())
    assert {"cnnlab.create_model", "cnnlab.train.fit", "cnnlab.sweep.run"} <= set(names)
    packages = sorted({name.rpartition(".")[0] for name in names})
    lines = [f"import {package}" for package in packages]
    lines += [f"reveal_type({name})" for name in names]
    first_wrong = len(lines) + 1
    (tmp_path / "use.py").write_text("\n".join(lines) + WRONG)
    settings = {"extraPaths": [str(ROOT.parent)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", f"--pythonpath={sys.executable}", "--outputjson"]
    done = subprocess.run([*command, "-p", str(tmp_path)], capture_output=True, text=True)
    report = json.loads(done.stdout)["generalDiagnostics"]
    types = [d["message"] for d in report if d["severity"] == "information"]
    assert len(types) == len(names)
    untyped = [t for t in types if t.endswith(('is "Any"', 'is "Unknown"'))]
    assert not untyped
    errors = [d["range"]["start"]["line"] + 1 for d in report if d["severity"] == "error"]
    assert errors == [first_wrong + n for n in range(4)], done.stdout
