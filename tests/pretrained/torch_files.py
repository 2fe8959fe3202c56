"""Writes the files that `torch.save` writes, without PyTorch, and damaged and malicious ones."""

import io
import json
import pickle
import struct
import zipfile
from typing import ClassVar, NamedTuple

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage", "int64": "LongStorage", "int32": "IntStorage",
    "int8": "CharStorage", "uint8": "ByteStorage", "complex64": "ComplexFloatStorage",
}  # fmt: skip


class Global(NamedTuple):
    """A name that the reader is to look up."""

    module: str
    name: str


class Call(NamedTuple):
    """A call of such a name; `state` is then given to the result."""

    function: object
    arguments: tuple
    state: object = None


class Block(NamedTuple):
    """A storage: the array's memory, under a key."""

    key: str
    array: np.ndarray
    type: str | None = None
    size: int | None = None


class Filled(NamedTuple):
    """An ordered dictionary with attributes."""

    items: dict
    state: dict


class Pickler(pickle._Pickler):
    """Knows the four classes above, and keeps the arrays of the blocks it meets."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file, *, old=False):
        super().__init__(file, 2)
        self.old, self.blocks = old, {}

    def save_global_name(self, value):
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())

    def save_call(self, value):
        self.save(value.function)
        self.save(value.arguments)
        self.write(pickle.REDUCE)
        if value.state is not None:
            self.save(value.state)
            self.write(pickle.BUILD)

    def save_filled(self, value):
        self.save(Call(_ORDERED, ()))
        self._batch_setitems(value.items.items())
        self.save(value.state)
        self.write(pickle.BUILD)

    def persistent_id(self, value):
        if not isinstance(value, Block):
            return None
        self.blocks[value.key] = value.array
        module, kind = "torch", value.type or STORAGES[str(value.array.dtype)]
        if kind == "UntypedStorage":
            module = "torch.storage"
        size = value.array.size if value.size is None else value.size
        pid = ("storage", Global(module, kind), value.key, "cpu", size)
        return (*pid, None) if self.old else pid

    dispatch[Global] = save_global_name
    dispatch[Call] = save_call
    dispatch[Filled] = save_filled


_ORDERED = Global("collections", "OrderedDict")


def tensor(array, block=None, offset=0, flags=None):
    """What is pickled of a tensor: the array's own memory, or a view of a block's."""
    array = np.asarray(array)
    if block is None:
        base = array if array.base is None else array.base
        block = Block(str(id(base)), base)
    strides = tuple(step // array.itemsize for step in array.strides)
    extra = (flags,) if flags else ()
    arguments = (block, offset, array.shape, strides, False, Call(_ORDERED, ()), *extra)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def parameter(array):
    """A `torch.nn.Parameter`."""
    arguments = (tensor(array), True, Call(_ORDERED, ()))
    return Call(Global("torch._utils", "_rebuild_parameter"), arguments)


def new_style(array, dtype):
    """A tensor of a type that has no kind of storage of its own."""
    block = Block(str(id(array)), array, "UntypedStorage", array.nbytes)
    strides = tuple(step // array.itemsize for step in array.strides)
    arguments = (block, 0, array.shape, strides, False, Call(_ORDERED, ()), Global("torch", dtype))
    return Call(Global("torch._utils", "_rebuild_tensor_v3"), arguments)


def state_dict(arrays, make=tensor):
    """As `torch.nn.Module.state_dict` gives it: in order, with versions as an attribute."""
    state = {"_metadata": Call(_ORDERED, ())}
    return Filled({key: make(array) for key, array in arrays.items()}, state)


def _pickled(tree, old=False):
    buffer = io.BytesIO()
    pickler = Pickler(buffer, old=old)
    pickler.dump(tree)
    return buffer.getvalue(), pickler.blocks


def _bytes(array):
    return np.ascontiguousarray(array).tobytes()


def archive(tree, root="archive", order="little", compress=False, crc=True, drop=(), records=None):
    """The bytes of a file of today's format.

    Args:
      tree: what it holds.
      root: name of the folder in it.
      order: of the bytes in storages.
      compress: whether its records are compressed.
      crc: whether sums are written.
      drop: records that are left out.
      records: contents in place of the right ones.
    """
    data, blocks = _pickled(tree)
    contents = {"data.pkl": data, "byteorder": order.encode()}
    for key, array in blocks.items():
        swapped = array.byteswap() if order == "big" else array
        contents[f"data/{key}"] = _bytes(swapped)
    contents |= {"version": b"3\n"} | (records or {})
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, content in contents.items():
            if name not in drop:
                file.writestr(f"{root}/{name}", content)
    content = buffer.getvalue()
    return content if crc else _without_sums(content)


def _without_sums(content):
    content = bytearray(content)
    for signature, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        start = content.find(signature)
        while start >= 0:
            content[start + at : start + at + 4] = bytes(4)
            start = content.find(signature, start + 4)
    return bytes(content)


def pickles(tree, magic=MAGIC):
    """The bytes of a file of the format before PyTorch 1.6."""
    data, blocks = _pickled(tree, old=True)
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(part, 2) for part in (magic, PROTOCOL, system))
    keys = sorted(blocks)
    body = b"".join(struct.pack("<q", blocks[key].size) + _bytes(blocks[key]) for key in keys)
    return head + data + pickle.dumps(keys, 2) + body


def safetensors(tensors, metadata=None):
    """The bytes of a safetensors file, from `{key: (type, shape, bytes)}`, of any types."""
    header, body = ({"__metadata__": metadata} if metadata else {}), b""
    for key, (dtype, shape, data) in tensors.items():
        offsets = [len(body), len(body) + len(data)]
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
