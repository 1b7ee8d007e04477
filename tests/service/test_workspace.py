import os
from pathlib import Path

import numpy as np
import pytest

from preprocessing.placement import Placement
from service.workspace import NotInWorkspace, Workspace

PLACEMENT = Placement(left=-3.5, top=0.0, scale=2.0, rows=400, columns=380)


def test_tensor_comes_back_bit_for_bit(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    tensor = np.random.default_rng(0).random((1, 9, 7), dtype=np.float32)

    name = workspace.put_tensor(tensor)

    assert np.array_equal(workspace.tensor(name), tensor)
    assert workspace.put_tensor(tensor) == name


def test_heat_map_comes_back_with_its_placement(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    values = np.random.default_rng(0).random((2, 7, 7), dtype=np.float32)

    name = workspace.put_heat_map(values, PLACEMENT)

    stored, placement = workspace.heat_map(name)
    assert np.array_equal(stored, values)
    assert placement == PLACEMENT


def test_equal_heat_maps_of_two_images_are_two_files(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    values = np.zeros((1, 7, 7), dtype=np.float32)
    other = Placement(left=0.0, top=0.0, scale=1.0, rows=224, columns=224)

    names = {workspace.put_heat_map(values, placement) for placement in (PLACEMENT, other)}

    assert len(names) == 2


def test_damaged_tensor_counts_as_absent(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    name = workspace.put_tensor(np.zeros((1, 4, 4), dtype=np.float32))
    workspace.tensor_path(name).write_bytes(b"")

    with pytest.raises(NotInWorkspace):
        workspace.tensor(name)


def test_answer_is_remembered_for_its_whole_key_only(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    workspace.remember("scores", ("a", "b"), {"logits": [1.5]})

    assert workspace.recall("scores", ("a", "b")) == {"logits": [1.5]}
    assert workspace.recall("scores", ("a", "c")) is None
    assert workspace.recall("prepared", ("a", "b")) is None


def test_sweep_removes_what_was_not_used_for_long_and_half_written_files(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names = [workspace.put_tensor(np.full((1, 2, 2), value, dtype=np.float32)) for value in (1, 2)]
    half = workspace.tensor_path(names[0]).with_name(".half.part")
    half.write_bytes(b"x")
    for path in (half, *(workspace.tensor_path(name) for name in names)):
        os.utime(path, (1_000.0, 1_000.0))
    workspace.tensor(names[1])  # used just now

    gone = workspace.sweep(now=2_000.0, max_age_s=500.0)

    assert gone == 2
    assert not half.exists()
    with pytest.raises(NotInWorkspace):
        workspace.tensor(names[0])
    assert workspace.tensor(names[1])[0, 0, 0] == 2


def test_sweep_removes_a_half_written_file_long_before_a_tensor_of_the_same_age(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    tensor = workspace.tensor_path(workspace.put_tensor(np.zeros((1, 2, 2), dtype=np.float32)))
    half, young = tensor.with_name(".half.part"), tensor.with_name(".young.part")
    for path in (half, young):
        path.write_bytes(b"x")
    for path in (half, tensor):
        os.utime(path, (1_000.0, 1_000.0))
    os.utime(young, (5_000.0, 5_000.0))

    assert workspace.sweep(now=5_000.0, max_age_s=86_400.0) == 1

    assert not half.exists()
    assert tensor.exists()
    assert young.exists()
