"""A series in the disposable child: the recipe's own tensor, its refusals, and deaths that the pool outlives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from preprocessing.errors import Reason
from preprocessing.recipes import SERIES_RECIPES, VolumePlacement
from service.inference.decoding import DecodeLimits, DecodePool, Died, Refused, Tensor
from service.workspace import Workspace
from tests.factories import part10
from tests.service.inference import recipes
from tests.volumes import make_series

RECIPE = "ct_volume/1"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def pool(workspace: Workspace) -> Iterator[DecodePool]:
    limits = DecodeLimits(memory_bytes=1 << 30, cpu_s=2, wall_s=30.0)
    pool = DecodePool(processes=1, limits=limits, workspace_folder=workspace.folder, recipes=recipes.MODULE)
    pool.start()
    yield pool
    pool.close()


def stored(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.dcm" for n in range(count)]
    for path, one in zip(paths, make_series(count), strict=True):
        path.write_bytes(part10(one))
    return paths


def test_tensor_of_the_child_is_the_one_that_the_recipe_makes(
    pool: DecodePool, workspace: Workspace, tmp_path: Path
) -> None:
    paths = stored(tmp_path, 12)

    made = pool.prepare_series(paths[::-1], RECIPE, slices=12)

    direct = SERIES_RECIPES[RECIPE].prepare_series(paths)
    assert isinstance(made, Tensor)
    assert isinstance(made.placement, VolumePlacement)
    assert np.array_equal(workspace.tensor(made.tensor_sha256), direct.tensor)
    assert (made.placement, made.notes, made.decoder) == (direct.placement, direct.notes, "native")


def test_series_that_is_no_volume_is_refused_with_its_reason(pool: DecodePool, tmp_path: Path) -> None:
    paths = stored(tmp_path, 12)

    made = pool.prepare_series([*paths[:4], *paths[5:]], RECIPE, slices=11)

    assert made == Refused(Reason.GEOMETRY_REFUSED, "slices are missing between 4 and 6")


def test_pool_outlives_a_series_that_kills_its_child_or_never_ends(pool: DecodePool, tmp_path: Path) -> None:
    killed = pool.prepare_series([tmp_path / "abort.dcm"], "deadly_volume/1", slices=1)
    endless = pool.prepare_series([tmp_path / "spin.dcm"], "deadly_volume/1", slices=1)

    assert killed == Died("signal", "SIGABRT")
    assert isinstance(endless, Died)
    assert endless.is_limit
    assert isinstance(pool.prepare_series(stored(tmp_path, 9), RECIPE, slices=9), Tensor)


def test_recipe_for_images_is_not_taken_for_a_series(pool: DecodePool, tmp_path: Path) -> None:
    assert pool.prepare_series(stored(tmp_path, 9), recipes.NAME, slices=9) == Died("panic", "TypeError")
