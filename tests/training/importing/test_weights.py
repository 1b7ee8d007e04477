"""Weight files: what is in them comes out, and nothing that stands in them is run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.importing.library import random_network, save
from training.importing import ImportRefused
from training.importing.weights import read_weights


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("is_old", [False, True])
def test_every_tensor_of_a_saved_module_comes_out(tmp_path: Path, is_old: bool) -> None:
    network = random_network()

    weights = read_weights(save(network, tmp_path / "w.pt", is_old=is_old))

    assert weights.kind == "torchxrayvision.models.DenseNet"
    assert weights.epsilons == {1e-5}
    assert weights.attributes["apply_sigmoid"] is False
    state = network.state_dict()
    assert weights.tensors.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(weights.tensors[name], tensor.numpy())


@pytest.mark.parametrize("is_old", [False, True])
def test_a_bare_state_dict_with_views_and_other_types_comes_out(tmp_path: Path, is_old: bool) -> None:
    grid = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    state = OrderedDict(turned=grid.T, part=grid[1:, 2], half=grid.half(), count=torch.tensor(7))
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=not is_old)

    weights = read_weights(tmp_path / "w.pt")

    assert weights.kind == ""
    for name, tensor in state.items():
        np.testing.assert_array_equal(weights.tensors[name], tensor.numpy())
        assert weights.tensors[name].dtype == tensor.numpy().dtype


@pytest.mark.parametrize("is_old", [False, True])
def test_a_file_that_wants_to_run_something_is_refused_and_nothing_is_run(tmp_path: Path, is_old: bool) -> None:
    network, mark = random_network(), tmp_path / "sprung"
    network.trap = Trap(mark)

    with pytest.raises(ImportRefused, match=r"wants '(posix|nt)\.system'.*nothing of it was run"):
        read_weights(save(network, tmp_path / "w.pt", is_old=is_old))

    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.nn.modules.conv", "Conv2d.forward.__globals__"),
        ("collections", "namedtuple"),
        ("torchxrayvision.models", "get_weights"),
        ("numpy.core.multiarray", "_reconstruct"),
    ],
)
def test_a_name_that_weights_do_not_need_is_refused(tmp_path: Path, module: str, name: str) -> None:
    path = zipped(tmp_path / "w.pt", b"\x80\x04" + pickled_text(module) + pickled_text(name) + b"\x93.")

    with pytest.raises(ImportRefused, match=f"wants '{module}.{name}'"):
        read_weights(path)


def test_a_known_class_that_pytorch_has_is_a_record_and_not_that_class(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "w.pt")

    weights = read_weights(tmp_path / "w.pt")

    assert weights.kind == "torch.nn.modules.linear.Linear"
    assert weights.tensors["weight"].shape == (3, 2)


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"w/{name}", b"\x80\x02N.")

    with pytest.raises(ImportRefused, match="TorchScript"):
        read_weights(tmp_path / "w.pt")


def test_a_tensor_that_reaches_outside_its_storage_is_refused(tmp_path: Path) -> None:
    state = {"w": torch.arange(4.0)}
    torch.save(state, tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    program = content["w/data.pkl"]
    assert program.count(b"K\x04\x85") == 1  # the size (4,)

    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        for name, part in content.items():
            archive.writestr(name, part.replace(b"K\x04\x85", b"K\x40\x85"))

    with pytest.raises(ImportRefused, match="damaged"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 100, 5_000, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, is_old: bool, kept: int) -> None:
    path = save(random_network(), tmp_path / "w.pt", is_old=is_old)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(ImportRefused):
        read_weights(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"\x80\x02N.", pickle.dumps({"w": 1}), b"{}"])
def test_what_is_no_pytorch_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)

    with pytest.raises(ImportRefused, match="no PyTorch file"):
        read_weights(tmp_path / "w.pt")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="cannot be read: No such file"):
        read_weights(tmp_path / "w.pt")


def test_modules_without_end_are_refused(tmp_path: Path) -> None:
    loop = nn.Sequential(nn.ReLU())
    loop._modules["self"] = loop
    torch.save(loop, tmp_path / "w.pt")

    with pytest.raises(ImportRefused, match="more than"):
        read_weights(tmp_path / "w.pt")


def zipped(path: Path, program: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", program)
    return path


def pickled_text(text: str) -> bytes:
    content = io.BytesIO()
    content.write(b"\x8c" + bytes([len(text)]) + text.encode())
    return content.getvalue()
