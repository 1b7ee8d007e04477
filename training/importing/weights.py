"""Weights out of a PyTorch file, without running anything that stands in it.

A file that `torch.save` wrote of a whole module is a pickle: a program that names classes and calls them. PyTorch's own
careful reader (`weights_only=True`) refuses the module entries of the format from before 1.6, in which the files of
TorchXRayVision are. Here the names that a network's file needs stand for inert records, and any other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.importing import ImportRefused

MAX_BYTES = 2 * 1024**3
MAX_MODULES = 10_000

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}

MODULES = {
    "torchxrayvision.models": ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition", "ResNet"),
    "torch.nn.modules.activation": ("ReLU",),
    "torch.nn.modules.batchnorm": ("BatchNorm2d",),
    "torch.nn.modules.container": ("Sequential",),
    "torch.nn.modules.conv": ("Conv2d",),
    "torch.nn.modules.linear": ("Linear",),
    "torch.nn.modules.pooling": ("AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"),
}
"""Module classes that a file may name; each becomes a record that holds attributes and can do nothing."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a PyTorch file holds.

    Attributes:
        kind: Class of the outermost module, such as `torchxrayvision.models.DenseNet`; empty for a bare state dict.
        tensors: Parameters and buffers by their dotted names.
        attributes: Plain values of the outermost module: names, flags, lists of them.
        epsilons: What the batch normalizations add to their variance.
    """

    kind: str
    tensors: Mapping[str, NDArray[np.generic]]
    attributes: Mapping[str, object]
    epsilons: frozenset[float]


def read_weights(path: Path) -> Weights:
    """Read a file that `torch.save` wrote of a module or of its state dict, in its present or its first format.

    Raises:
        ImportRefused: It is no such file, is damaged, or wants anything but tensors and the modules of MODULES.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImportRefused(f"{path.name} is larger than {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = _read_zip(content) if content[:4] == b"PK\x03\x04" else _read_legacy(content)
        return _weights_of(found)
    except ImportRefused:
        raise
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, EOFError, LookupError, TypeError, ValueError, AttributeError,
        OverflowError, MemoryError, NotImplementedError,
    ) as error:  # fmt: skip
        raise ImportRefused(f"{path.name} is no PyTorch file, or it is damaged") from error


class _Record:
    """Stands for a module: holds what the file says of it."""


class _Storage:
    """A run of numbers in the file; `values` is filled in when they have been read."""

    def __init__(self, dtype: np.dtype[np.generic], count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.values: NDArray[np.generic] | None = None


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_others: object
) -> _Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2; what follows the strides is for gradients."""
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(tensor: _Tensor, *_others: object) -> _Tensor:
    return tensor


def _nothing() -> None:
    """Stand in for the function table that modules before PyTorch 1.4 carried."""


class _Unpickler(pickle.Unpickler):
    """Gives inert stand-ins for allowed names and refuses every other one."""

    def __init__(self, file: io.BytesIO, open_storage: Callable[..., object]) -> None:
        super().__init__(file, encoding="utf-8")
        self._open_storage = open_storage
        # Made anew for each file: no file can leave anything behind in them.
        self._allowed: dict[tuple[str, str], object] = {
            (module, name): type(name, (_Record,), {"kind": f"{module}.{name}"})
            for module, names in MODULES.items()
            for name in names
        }
        self._allowed |= {("torch", name): name for name in DTYPES}
        self._allowed |= {
            ("collections", "OrderedDict"): OrderedDict,
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
            ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _nothing,
        }

    def find_class(self, module: str, name: str) -> object:
        """Return the stand-in for a name. Raises ImportRefused for any name that weights have no need of."""
        try:
            return self._allowed[module, name]
        except KeyError:
            wanted = f"{module}.{name}"[:80]
            raise ImportRefused(f"the file wants {wanted!r}, which no weights need: nothing of it was run") from None

    def persistent_load(self, pid: object) -> object:
        """Return a storage, or in the first format a module's class."""
        if not isinstance(pid, tuple) or not pid:
            raise pickle.UnpicklingError("no storage")
        if pid[0] == "module":
            return pid[1]  # the class that `find_class` gave; its source text, which follows, is not looked at
        if pid[0] != "storage":
            raise pickle.UnpicklingError("no storage")
        return self._open_storage(*pid[1:])


class _Storages:
    """The storages that a file's pickle names, by their keys."""

    def __init__(self) -> None:
        self.by_key: dict[str, _Storage] = {}

    def open(self, kind: str, key: object, _location: object, count: int, view: object = None) -> _Storage:
        if view is not None:
            raise ImportRefused("the file shares storage in a way that is not supported: save its state dict instead")
        return self.by_key.setdefault(str(key), _Storage(DTYPES[kind], count))


def _read_zip(content: bytes) -> object:
    """Read the format since PyTorch 1.6: a zip with one pickle and a file for each storage."""
    storages = _Storages()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ImportRefused("the file is compressed, which PyTorch never does")
        names = set(archive.namelist())
        top = {name.split("/")[0] for name in names}
        root = top.pop() if len(top) == 1 else ""
        if f"{root}/constants.pkl" in names:
            raise ImportRefused("the file is a TorchScript program, not weights: save the module's state dict instead")
        if f"{root}/byteorder" in names and archive.read(f"{root}/byteorder") != b"little":
            raise ImportRefused("the file was written on a big-endian machine")
        found = _Unpickler(io.BytesIO(archive.read(f"{root}/data.pkl")), storages.open).load()
        for key, storage in storages.by_key.items():
            storage.values = _numbers(archive.read(f"{root}/data/{key}"), storage)
    return found


def _read_legacy(content: bytes) -> object:
    """Read the format before PyTorch 1.6: five pickles in a row, then the storages."""
    storages = _Storages()
    file = io.BytesIO(content)
    magic, protocol, machine = (_Unpickler(file, storages.open).load() for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL:
        raise pickle.UnpicklingError("another magic number")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ImportRefused("the file was written on a big-endian machine")
    found = _Unpickler(file, storages.open).load()
    keys = _Unpickler(file, storages.open).load()
    for key in keys if isinstance(keys, list) else []:
        storage = storages.by_key[str(key)]
        if int.from_bytes(file.read(8), "little", signed=True) != storage.count:
            raise pickle.UnpicklingError("a storage of another size")
        storage.values = _numbers(file.read(storage.count * storage.dtype.itemsize), storage)
    return found


def _numbers(content: bytes, storage: _Storage) -> NDArray[np.generic]:
    values = np.frombuffer(content, storage.dtype)
    if len(values) != storage.count:
        raise pickle.UnpicklingError("a storage is cut short")
    return values


def _weights_of(found: object) -> Weights:
    if isinstance(found, _Record):
        records = _records(found)
        tensors = {name: tensor for prefix, record in records for name, tensor in _own_tensors(prefix, record)}
        plain = {name: value for name, value in vars(found).items() if not name.startswith("_")}
        epsilons = frozenset(float(vars(record)["eps"]) for _, record in records if "eps" in vars(record))
        kind = str(getattr(type(found), "kind", ""))
        attributes = {name: _array(value) if isinstance(value, _Tensor) else value for name, value in plain.items()}
    elif isinstance(found, dict):
        tensors = {str(name): _array(value) for name, value in found.items() if isinstance(value, _Tensor)}
        kind, attributes, epsilons = "", {}, frozenset()
    else:
        raise ImportRefused("the file holds neither a module nor a state dict")
    if not tensors:
        raise ImportRefused("the file holds no tensors")
    return Weights(kind, tensors, attributes, epsilons)


def _records(outermost: _Record) -> list[tuple[str, _Record]]:
    """Return every module with the prefix of its parameters' names."""
    found: list[tuple[str, _Record]] = []
    waiting = [("", outermost)]
    while waiting:
        prefix, record = waiting.pop()
        found.append((prefix, record))
        children = vars(record).get("_modules", {})
        waiting += [(f"{prefix}{name}.", child) for name, child in children.items() if isinstance(child, _Record)]
        if len(found) + len(waiting) > MAX_MODULES:
            raise ImportRefused(f"more than {MAX_MODULES} modules")
    return found


def _own_tensors(prefix: str, record: _Record) -> Iterator[tuple[str, NDArray[np.generic]]]:
    own = {**vars(record).get("_parameters", {}), **vars(record).get("_buffers", {})}
    for name, value in own.items():
        if isinstance(value, _Tensor):
            yield f"{prefix}{name}", _array(value)


def _array(tensor: _Tensor) -> NDArray[np.generic]:
    """Return a copy of a tensor's numbers; one that reaches outside its storage is refused."""
    values, size, stride = tensor.storage.values, tensor.size, tensor.stride
    if values is None or len(size) != len(stride) or min((0, tensor.offset, *size, *stride)) < 0:
        raise pickle.UnpicklingError("a tensor without numbers")
    last = tensor.offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    count: int = math.prod(size)
    if count > len(values) or (count and last >= len(values)):
        raise pickle.UnpicklingError("a tensor reaches outside its storage")
    steps = tuple(step * values.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], size, steps).copy()
