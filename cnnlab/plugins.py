"""Plugins: users' files and modules that register components; later commands import them again.

A run records its plugins as texts: the name of a module, or `PATH#sha256=DIGEST` for a file. They
are imported from their original place. Users' Python files are executed, so run only those that you
trust.
"""

import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import cloudpickle

from cnnlab.errors import UserError
from cnnlab.registry import REGISTRIES, Plugin

_DIGEST = "#sha256="


class PluginError(UserError):
    """A recorded plugin is missing or has changed; `given_plugins` can name another file."""


# Files by path, with the digest of the text that was executed and what came of it.
_executed: dict[Path, tuple[str, ModuleType, tuple[str, ...]]] = {}
_given: list[Path] = []


def given_plugins(plugins: Iterable[str]) -> tuple[str, ...]:
    """Imports plugins that the user names, which replace recorded ones that are missing or changed.

    Recorded files that are missing or have changed are then skipped. Each call replaces the plugins
    of the previous call.

    Args:
      plugins: paths of files, or names of modules.

    Returns:
      The plugins as texts to be recorded.

    Raises:
      UserError: a file or module that does not exist or cannot be executed.
    """
    _given.clear()
    recorded = []
    for plugin in plugins:
        if plugin.endswith(".py"):
            path = Path(plugin).expanduser().resolve()
            if not path.is_file():
                raise UserError(f"There is no plugin '{plugin}': name a Python file or a module.")
            execute_file(path)
            _given.append(path)
            recorded.append(_pinned(path))
        else:
            _import_module(plugin)
            recorded.append(plugin)
    return tuple(recorded)


def now_given() -> tuple[str, ...]:
    """Returns the files of the last call of `given_plugins`, for processes that this one starts."""
    return tuple(map(str, _given))


def load_plugins(recorded: Iterable[str]) -> None:
    """Imports the plugins that a run recorded.

    Raises:
      PluginError: a file or module is missing, or a file has changed.
      UserError: a file or module cannot be executed.
    """
    for plugin in recorded:
        name, is_file, digest = plugin.partition(_DIGEST)
        if not is_file:
            _import_module(name)
            continue
        path = Path(name)
        found = file_digest(path) if path.is_file() else None
        if found == digest:
            execute_file(path)
        elif not _given:
            what = (
                "is missing"
                if found is None
                else f"has changed since (SHA-256 {digest[:12]}..., now {found[:12]}...)"
            )
            raise PluginError(
                f"The plugin {path}, which the run was started with, {what}: restore it, or name "
                "the file to use in its place."
            )


def execute_file(path: Path) -> tuple[ModuleType, tuple[str, ...]]:
    """Executes a file as a module, once per version of the file.

    Its folder is searched for the modules that it imports.

    Returns:
      The module, and the plugins that registered components while it was executed, as texts.

    Raises:
      UserError: the file raises an exception or ends the process.
    """
    path = path.resolve()
    digest = file_digest(path)
    if path in _executed and _executed[path][0] == digest:
        return _executed[path][1:]
    module = _running(path)
    if module is None:
        before = _active()
        module = _execute(path)
        plugins = record(p for p in _active() if p not in before or p.file == path)
    else:
        plugins = record(p for p in _active() if p.file == path)
    _executed[path] = (digest, module, plugins)
    return module, plugins


def record(plugins: Iterable[Plugin]) -> tuple[str, ...]:
    """Returns plugins as texts, without those typed into an interpreter, which no file holds.

    A module of an installed package is recorded by name, any other by its file.
    """
    texts = []
    for plugin in plugins:
        if plugin.file is None or not plugin.file.is_file():
            continue
        installed = plugin.module != "__main__" and _is_installed(plugin.file)
        texts.append(plugin.module if installed else _pinned(plugin.file))
    return tuple(dict.fromkeys(texts))


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pinned(path: Path) -> str:
    return f"{path}{_DIGEST}{file_digest(path)}"


def _is_installed(path: Path) -> bool:
    folders = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return any(path.is_relative_to(folder) for folder in folders)


def _active() -> list[Plugin]:
    """Plugins that have registered components in this process."""
    entries = (entry for registry in REGISTRIES for entry in registry.registered())
    return list(dict.fromkeys(entry.plugin for entry in entries if entry.plugin))


def _running(path: Path) -> ModuleType | None:
    """The module of a file that Python has imported, or is running, already."""
    for plugin in _active():
        if plugin.file == path and plugin.module in sys.modules and path not in _executed:
            return sys.modules[plugin.module]
    return None


def _execute(path: Path) -> ModuleType:
    root, name = path.parent, None
    parts = [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.append(str(root))
    # A file of a package is imported as such, for its relative imports.
    name = ".".join(parts) if len(parts) > 1 else f"cnnlab_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        if len(parts) > 1:
            importlib.import_module(name.rpartition(".")[0])
        # Not `spec.loader.exec_module`, whose cached bytecode may be that of another version.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except BaseException as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UserError(f"'{path}' cannot be loaded: {error_text(error)}") from error
    # Worker processes that load data get what the file defines along with it.
    cloudpickle.register_pickle_by_value(module)
    return module


def _import_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise UserError(f"The plugin '{name}' cannot be loaded: {error_text(error)}") from error
        if not _given:
            raise PluginError(
                f"The plugin '{name}', a module, is missing: install it, or name the file to use "
                "in its place."
            ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"The plugin '{name}' cannot be loaded: {error_text(error)}") from error


def error_text(error: BaseException) -> str:
    """Formats an exception as the end of a sentence."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it ends the process (sys.exit({error.code!r}))."
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text or 'no message'}".rstrip(".") + "."
