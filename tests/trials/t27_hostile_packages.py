"""Trial 27: hostile ONNX files and pickles with an ONNX name, in whole packages, before the worker's own loader."""

from __future__ import annotations

import ctypes
import io
import json
import os
import pickle
import random
import select
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from models.files import HASHES, ONNX, hash_files
from tests.conftest import ROOT
from tests.service.inference.packages import write_package
from tests.trials.trial import Counts, Missing, Trial

EACH = 5
IN_ACCESS_OR_OPEN = 0x1 | 0x20

WATCHED = """
import json, sys
from pathlib import Path
from service.settings import Settings
from service.sites import open_shelf
from service.worker import load_packages

models, data = Path(sys.argv[1]), Path(sys.argv[2])
load_packages(Settings(data_folder=data, models_folder=models / "warm"))
allowed = (str(models), str(Path("models").absolute()))
seen = {"outside": [], "started": [], "unpickled": []}
starts = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.", "socket.connect")

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = str(Path(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()).absolute())
        if not path.startswith(allowed):
            seen["outside"].append(path)
    elif event.startswith(starts):
        seen["started"].append(event)
    elif event.startswith("pickle"):
        seen["unpickled"].append(event)

sys.addaudithook(hook)
settings = Settings(data_folder=data, models_folder=models / "shelf")
loaded = {one.folder.name for one in load_packages(settings).values()} | {
    one.folder.name for one in open_shelf(settings).packages
}
print(json.dumps({"loaded": sorted(loaded), **seen}))
"""

Alter = Callable[[onnx.ModelProto, random.Random, Path], bytes | None]


def _external(model: onnx.ModelProto, chance: random.Random, outside: Path) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = chance.choice([str(outside / "weights.bin"), "../../../outside/weights.bin", "/proc/self/environ", "w"])
    tensor.external_data.add(key="location", value=place)


def _external_unmarked(model: onnx.ModelProto, _chance: random.Random, outside: Path) -> None:
    model.graph.initializer[1].external_data.add(key="location", value=str(outside / "weights.bin"))


def _external_inside(model: onnx.ModelProto, chance: random.Random, outside: Path) -> None:
    value = helper.make_tensor("c", TensorProto.FLOAT, [1], [0.0])
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value=str(outside / "weights.bin"))
    if chance.random() < 0.5:
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))
        return
    node = helper.make_node("Constant", [], ["d"])
    node.attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [], [value])))
    model.graph.node.append(node)


def _external_sparse(model: onnx.ModelProto, _chance: random.Random, outside: Path) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.data_location = TensorProto.EXTERNAL
    sparse.values.external_data.add(key="location", value=str(outside / "weights.bin"))


def _foreign_domain(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> None:
    model.graph.node[0].domain = chance.choice(["com.microsoft", "ai.onnx.ml", "ai.onnx.training", "org.example"])


def _foreign_opset(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> None:
    model.opset_import.add(domain=chance.choice(["com.microsoft", "python", "x" * 50_000]), version=1)


def _operator(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> None:
    names = ["RunShell", "PyOp", "Loop", "Scan", "If", "ReadFile", "StringConcat", "RandomNormal", "SequenceMap"]
    model.graph.node[chance.randrange(len(model.graph.node))].op_type = chance.choice(names)


def _function(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> None:
    model.functions.add(name="f", domain=chance.choice(["", "local", "com.microsoft"]))


def _training(model: onnx.ModelProto, _chance: random.Random, _outside: Path) -> None:
    model.training_info.add()


def _two_graphs(model: onnx.ModelProto, _chance: random.Random, outside: Path) -> bytes:
    """Two graphs in one file merge in some readers: the second one brings external data."""
    other = onnx.ModelProto()
    other.graph.CopyFrom(model.graph)
    _external_unmarked(other, random.Random(0), outside)
    return model.SerializeToString() + other.SerializeToString()


def _edges(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> None:
    shape = model.graph.input[0].type.tensor_type.shape
    match chance.randrange(4):
        case 0:
            shape.dim[0].dim_value = 1
        case 1:
            shape.dim[2].dim_value = 1 << 40
        case 2:
            model.graph.output[0].name = "scores"
        case _:
            model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.STRING, [1]))


def _cut(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> bytes:
    content = model.SerializeToString()
    return bytes(content[: chance.randrange(len(content) - 1)])


def _lengths(model: onnx.ModelProto, chance: random.Random, _outside: Path) -> bytes:
    """A last part that says it is far longer than the file."""
    length = chance.choice([b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01", b"\xff" * 11])
    return bytes(model.SerializeToString()) + bytes([chance.choice([1, 5, 7]) << 3 | 2]) + length


def _countless(_model: onnx.ModelProto, chance: random.Random, _outside: Path) -> bytes:
    return bytes([chance.choice([0x08, 0x10, 0x28]), 1]) * 600_000


def _nested(_model: onnx.ModelProto, chance: random.Random, _outside: Path) -> bytes:
    content = b""
    for number in [6, 5, 1] * chance.randint(20, 400) + [7]:  # attribute.g, node.attribute, graph.node … model.graph
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        content = bytes([number << 3 | 2]) + size + bytes([length]) + content
    return content


def _another_kind(_model: onnx.ModelProto, chance: random.Random, _outside: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weights": 1}))
    kinds = [b"\x7fELF" + bytes(60), b"MZ" + bytes(60), b"#!/bin/sh\ntouch x\n", packed.getvalue(), b"%PDF-1.7", b""]
    return chance.choice(kinds)


ALTERS: tuple[Alter, ...] = (
    _external, _external_unmarked, _external_inside, _external_sparse, _foreign_domain, _foreign_opset, _operator,
    _function, _training, _two_graphs, _edges, _cut, _lengths, _countless, _nested, _another_kind,
)  # fmt: skip


class _Trap:
    """Runs something when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._call = (call, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _pickles(outside: Path) -> list[bytes]:
    """Return 20 pickles: four things that must not happen, in five protocols."""
    mark = str(outside / "sprung")
    traps = (
        _Trap(os.system, f"touch {mark}"),
        _Trap(subprocess.call, ["touch", mark]),
        _Trap(Path.touch, Path(mark)),
        _Trap(open, str(outside / "weights.bin")),
    )
    return [pickle.dumps(trap, protocol=protocol) for trap in traps for protocol in range(5)]


def run(seed: int, folder: Path) -> Counts:
    """Put a hundred hostile packages and a good one on the shelf, and let the worker load them."""
    chance, outside, shelf = random.Random(seed), folder / "outside", folder / "models" / "shelf"
    outside.mkdir()
    (outside / "weights.bin").write_bytes(bytes(64))
    write_package(folder / "models" / "warm", "warm")
    good = write_package(shelf, "good")
    plain = onnx.load_from_string((good / ONNX).read_bytes())
    contents: list[bytes] = _pickles(outside)
    for alter in ALTERS:
        for _ in range(EACH):
            model = onnx.ModelProto()
            model.CopyFrom(plain)
            altered = alter(model, chance, outside)
            contents.append(model.SerializeToString() if altered is None else altered)
    for number, content in enumerate(contents):
        made = write_package(shelf, f"hostile_{number}")
        (made / ONNX).write_bytes(content)
        (made / HASHES).write_text(json.dumps({"sha256": hash_files(made)}))
    watch = _watch(outside)
    command = [sys.executable, "-c", WATCHED, str(folder / "models"), str(folder / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    touched = bool(select.select([watch], [], [], 0)[0])
    os.close(watch)
    said = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    if said is None:
        return {**dict.fromkeys(TRIAL.never, 0), "files": len(contents), "loader_died": 1}
    return {
        "files": len(contents),
        "loader_died": 0,
        "good_ones_lost": int("good" not in said["loaded"]),
        "accepted": sum(name.startswith("hostile") for name in said["loaded"]),
        "read_outside": len(said["outside"]) + touched,
        "started": len(said["started"]) + len(said["unpickled"]) + (outside / "sprung").exists(),
    }


def _watch(folder: Path) -> int:
    """Return a descriptor that can be read as soon as anybody, native code too, opens a file of the folder."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if watch < 0 or libc.inotify_add_watch(watch, os.fsencode(folder), IN_ACCESS_OR_OPEN) < 0:
        raise Missing("inotify (a kernel that lets files be watched)")
    (folder / "weights.bin").read_bytes()
    if not select.select([watch], [], [], 1)[0]:
        raise Missing("inotify that tells of an opened file")
    while select.select([watch], [], [], 0)[0]:
        assert len(os.read(watch, 65_536)) >= struct.calcsize("iIII")
    return watch


TRIAL = Trial(
    number="27",
    title="hostile ONNX files and pickles with an ONNX name stand on the model shelf",
    run=run,
    counted="files",
    full=1_000,
    never=("loader_died", "good_ones_lost", "accepted", "read_outside", "started"),
)
