"""How the files of the package lie: imports without cycles, folders that can be surveyed."""

import ast
import graphlib
import pkgutil
import re
from pathlib import Path

import grimp
import pytest

import cnnlab

ROOT = Path(cnnlab.__file__).parent
INITS = sorted([*ROOT.rglob("__init__.py"), *ROOT.rglob("__init__.pyi")])
FOLDERS = sorted({path.parent for path in ROOT.rglob("*.py")})

# Tables of architectures, layers and commands, one file for each.
TABLES = {"models/classification", "nn", "cli/commands", "cli/flags"}


def test_no_files_import_each_other():
    """Imports inside functions count too; those for the type checker alone do not."""
    graph = grimp.build_graph("cnnlab", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 300
    graphlib.TopologicalSorter(imports).prepare()  # raises a CycleError that names the files


@pytest.mark.parametrize("path", INITS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_export_hides_a_module(path):
    """`import cnnlab.data.loading as m` is a module, also where the package exports functions."""
    modules = {module.name for module in pkgutil.iter_modules([str(path.parent)])}
    package = ".".join(("cnnlab", *path.parent.relative_to(ROOT).parts))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert node.name not in modules
        # `from . import x` exports the module itself.
        if isinstance(node, ast.ImportFrom) and node.module and node.module != package:
            assert not modules & {alias.asname or alias.name for alias in node.names}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_has_at_most_sixteen_files(folder):
    if str(folder.relative_to(ROOT)) not in TABLES:
        assert len(list(folder.glob("*.py"))) <= 16


# What these write is commands for a terminal: how a run is made again, and a study's best config.
COMMANDS = {
    "program.py",
    "report/run_page/page.py",
    "report/run_page/reproduce.py",
    "sweep/study/results.py",
}


def test_only_the_command_line_speaks_of_flags():
    """Messages and documentation of the library name fields and arguments."""
    # Not variables of style sheets, options of XLA's compiler, of git and of pip.
    flag = re.compile(r"(?<!var\()--(?!xla_|porcelain|no-deps)[a-z]\w+|launch\.py")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in ("cli", "course")
        and str(path.relative_to(ROOT)) not in COMMANDS
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if flag.search(line)
    ]
    assert not found, "\n".join(found)
