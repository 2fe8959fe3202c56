"""Finds the tensors in the object of a file, and its description of the network."""

from collections.abc import Iterator, Mapping
from typing import Any

from cnnlab.pretrained.files.tensors import StoredTensor
from cnnlab.pretrained.files.unpickler import Opaque

# Deeper trees are none of a training script.
_DEEPEST = 32
_ARCHITECTURE = ("architecture", "arch", "model", "model_name")


def tensors_of(tree: Any) -> dict[str, StoredTensor]:
    """Returns all tensors by key; keys of nested state dicts follow those of their containers.

    A checkpoint's `{"state_dict": {"conv.weight": ...}}` gives `state_dict/conv.weight`; a module
    that was saved whole gives the keys of its state dict.
    """
    return dict(_walk(tree, "", 0, set()))


def architecture_of(tree: Any) -> tuple[str, ...]:
    """Returns names of networks that a training script stored with the weights."""
    found = []
    for place in (tree, *_members(tree).values()):
        values = _members(place)
        found += [values[key] for key in _ARCHITECTURE if isinstance(values.get(key), str)]
    return tuple(dict.fromkeys(found))


def _walk(node: Any, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, StoredTensor]]:
    if depth > _DEEPEST or id(node) in seen:
        return
    if isinstance(node, (Mapping, list, tuple, Opaque)):
        seen.add(id(node))
    if isinstance(node, Opaque) and isinstance(node.state, dict):
        inner = _module_members(node)
        separator = "."
    else:
        inner = _members(node)
        separator = "/"
    for key, value in inner.items():
        if isinstance(value, StoredTensor):
            yield f"{prefix}{key}", value
        else:
            yield from _walk(value, f"{prefix}{key}{separator}", depth + 1, seen)


def _members(node: Any) -> dict[str, Any]:
    """The members of a container, by key; only keys that are texts or numbers."""
    if isinstance(node, Opaque):
        node = node.entries or (node.state if isinstance(node.state, dict) else {})
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    if not isinstance(node, Mapping):
        return {}
    return {str(key): value for key, value in node.items() if isinstance(key, (str, int))}


def _module_members(node: Opaque) -> dict[str, Any]:
    """Parameters, buffers and modules of a module, or the attributes of a TorchScript module."""
    parts = ("_parameters", "_buffers", "_modules")
    if any(part in node.state for part in parts):
        return {k: v for part in parts for k, v in _members(node.state.get(part)).items()}
    return _members(node.state) | _members(node)
