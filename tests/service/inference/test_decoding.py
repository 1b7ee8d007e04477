import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from preprocessing.errors import Reason
from preprocessing.header import read_header, to_json
from preprocessing.recipes import RECIPES
from service.inference import confinement, decoding
from service.inference.decoding import DecodeLimits, DecodePool, DecodeUnavailable, Died, Refused, Tensor
from service.workspace import Workspace
from tests.factories import dataset_bytes, make_radiograph, part10, phantom
from tests.service.inference import recipes

RECIPE = recipes.NAME
LIMITS = DecodeLimits(memory_bytes=1 << 30, cpu_s=1, wall_s=8.0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def pool(workspace: Workspace) -> Iterator[DecodePool]:
    pool = DecodePool(processes=2, limits=LIMITS, workspace_folder=workspace.folder, recipes=recipes.MODULE)
    pool.start()
    yield pool
    pool.close()


class Film:
    """A stored radiograph of a patient whose ID tells the deadly recipe what to do."""

    def __init__(self, folder: Path, patient_id: str = "KIND", **attributes: object) -> None:
        dataset = make_radiograph(phantom(300, 260), PatientID=patient_id, **attributes)
        content = dataset_bytes(dataset)
        self.path = folder / "film.dcm"
        self.path.write_bytes(part10(dataset))
        self.header = read_header(
            io.BytesIO(content),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
            offset=0,
            length=len(content),
        )
        self.values = to_json(self.header)


def test_tensor_of_the_child_is_the_one_that_the_recipe_makes(
    pool: DecodePool, workspace: Workspace, tmp_path: Path
) -> None:
    film = Film(tmp_path)

    answer = pool.prepare(film.path, film.values, RECIPE)

    direct = RECIPES[RECIPE].prepare(film.path, film.header)
    assert isinstance(answer, Tensor)
    assert np.array_equal(workspace.tensor(answer.tensor_sha256), direct.tensor)
    assert (answer.placement, answer.notes, answer.decoder) == (direct.placement, direct.notes, direct.decoder)


def test_refusal_of_the_recipe_comes_back_with_its_reason(pool: DecodePool, tmp_path: Path) -> None:
    film = Film(tmp_path, "REFUSE")

    answer = pool.prepare(film.path, film.values, RECIPE)

    assert answer == Refused(Reason.UPSIDE_DOWN, "upside down")


@pytest.mark.parametrize(
    ("patient_id", "how", "is_limit"),
    [
        ("ABORT", "signal", False),
        ("PANIC", "panic", False),
        ("MEMORY", "memory", True),
        ("SPIN", "cpu", True),
        ("SLEEP", "timeout", True),
    ],
)
def test_deadly_image_kills_its_child_and_nobody_else(
    pool: DecodePool, tmp_path: Path, patient_id: str, how: str, is_limit: bool
) -> None:
    film = Film(tmp_path, patient_id)

    answer = pool.prepare(film.path, film.values, RECIPE)

    assert isinstance(answer, Died)
    assert (answer.how, answer.is_limit) == (how, is_limit)
    kind = Film(tmp_path)
    assert isinstance(pool.prepare(kind.path, kind.values, RECIPE), Tensor)


def test_child_cannot_write_without_measure(pool: DecodePool, tmp_path: Path) -> None:
    film = Film(tmp_path, "HUGE")

    answer = pool.prepare(film.path, film.values, RECIPE)

    assert isinstance(answer, Died)
    assert answer.how == "file_size"


@pytest.mark.parametrize("patient_id", ["CURIOUS", "CARELESS", "RUNS"])
def test_child_opens_its_own_film_and_no_other_file(pool: DecodePool, tmp_path: Path, patient_id: str) -> None:
    if not confinement.can_confine():
        pytest.skip("this machine's kernel takes no files away")
    film = Film(tmp_path, patient_id)
    (tmp_path / "other.dcm").write_bytes(b"another patient")

    with pytest.raises(DecodeUnavailable):
        pool.prepare(film.path, film.values, RECIPE)

    assert not (tmp_path / "new.dcm").exists()
    kind = Film(tmp_path)
    assert isinstance(pool.prepare(kind.path, kind.values, RECIPE), Tensor)


def test_what_the_machine_cannot_close_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"ready": 1, "open": ["network"]}
    monkeypatch.setattr(decoding._Zygote, "_receive", lambda _self, _timeout_s: said)

    pool = DecodePool(processes=1, limits=LIMITS, workspace_folder=workspace.folder, recipes=recipes.MODULE)
    pool.start()
    pool.close()

    [record] = [record for record in caplog.records if "not kept" in record.getMessage()]
    assert record.__dict__["reason"] == "network"


def test_child_has_no_network(pool: DecodePool, tmp_path: Path) -> None:
    if not machine_lets_processes_leave_the_network():
        pytest.skip("this machine lets no process leave the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        film = Film(tmp_path, "NETWORK", AccessionNumber=str(server.getsockname()[1]))

        with contextlib.suppress(DecodeUnavailable):  # what the kernel says where it forbids TCP itself
            assert isinstance(pool.prepare(film.path, film.values, RECIPE), Died)

        with pytest.raises(BlockingIOError):
            server.accept()


def machine_lets_processes_leave_the_network() -> bool:
    leave = "import ctypes as c, sys; f = c.CDLL(None).unshare; sys.exit(f(0x40000000) and f(0x50000000))"
    return subprocess.run([sys.executable, "-c", leave], check=False).returncode == 0


def test_missing_file_is_the_machine_s_fault_and_kills_nobody(pool: DecodePool, tmp_path: Path) -> None:
    film = Film(tmp_path)

    with pytest.raises(DecodeUnavailable):
        pool.prepare(tmp_path / "gone.dcm", film.values, RECIPE)


def test_several_threads_decode_at_once(pool: DecodePool, tmp_path: Path) -> None:
    film = Film(tmp_path)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: pool.prepare(film.path, film.values, RECIPE), range(12)))

    assert {type(answer) for answer in answers} == {Tensor}
    assert len({answer.tensor_sha256 for answer in answers if isinstance(answer, Tensor)}) == 1


def test_lost_decode_process_is_started_again(workspace: Workspace, tmp_path: Path) -> None:
    film = Film(tmp_path)
    pool = DecodePool(processes=1, limits=LIMITS, workspace_folder=workspace.folder, recipes=recipes.MODULE)
    pool.start()
    try:
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)

        deadline = time.monotonic() + 10
        answer: object = None
        while not isinstance(answer, Tensor) and time.monotonic() < deadline:
            try:
                answer = pool.prepare(film.path, film.values, RECIPE)
            except DecodeUnavailable:
                continue
    finally:
        pool.close()

    assert isinstance(answer, Tensor)


def test_closed_pool_refuses_at_once(workspace: Workspace, tmp_path: Path) -> None:
    film = Film(tmp_path)
    pool = DecodePool(processes=1, limits=LIMITS, workspace_folder=workspace.folder, recipes=recipes.MODULE)
    pool.start()
    pids = pool.pids()

    pool.close()

    with pytest.raises(DecodeUnavailable):
        pool.prepare(film.path, film.values, RECIPE)
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids)


def test_pool_that_cannot_start_says_so(workspace: Workspace) -> None:
    pool = DecodePool(processes=1, limits=LIMITS, workspace_folder=workspace.folder, recipes="no.such.module")

    with pytest.raises(DecodeUnavailable):
        pool.start()

    pool.close()
