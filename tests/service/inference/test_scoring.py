import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.files import HASHES, ONNX, ONNX_HALF, hash_files
from models.package import ModelPackage, load_package
from models.session import Session
from service.inference.forked import Forked, ForkServer
from service.inference.scoring import PackageUnusable, Scoring, ScoringFailed
from service.workspace import Workspace
from tests.service.inference.packages import SIZE, write_gate, write_package
from tests.service.worker_site import until
from training.half import to_half


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    folder = tmp_path_factory.mktemp("models")
    made = [
        write_package(folder, "tiny_findings"),
        write_package(folder, "tiny_nan", is_nan=True),
        write_gate(folder, "tiny_gate"),
    ]
    return {path.name: load_package(path) for path in made}


@pytest.fixture(scope="module")
def scoring(workspace: Workspace, packages: dict[str, ModelPackage]) -> Iterator[Scoring]:
    scoring = open_scoring(workspace, packages)
    scoring.start()
    yield scoring
    scoring.close()


def open_scoring(workspace: Workspace, packages: dict[str, ModelPackage], **changed: object) -> Scoring:
    asked = {"provider": "cpu", "threads": 1, "max_batch": 4, "timeout_s": 20.0, **changed}
    return Scoring(list(packages.values()), workspace_folder=workspace.folder, **asked)  # type: ignore[arg-type]  # by name


def tensor(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).random((1, SIZE, SIZE), dtype=np.float32)


def test_scores_are_those_of_a_session_and_name_the_provider(
    scoring: Scoring, workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    image = tensor(1)

    raw = scoring.score(packages["tiny_findings"], workspace.put_tensor(image))

    direct = Session(packages["tiny_findings"]).run(image[None])
    assert raw.logits == tuple(float(value) for value in direct.logits[0])
    assert direct.heat_map is not None
    assert raw.heat_map is not None
    assert np.array_equal(raw.heat_map, direct.heat_map[0])
    assert raw.provider == "CPUExecutionProvider"


def test_package_without_heat_map_gives_none(
    scoring: Scoring, workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    raw = scoring.score(packages["tiny_gate"], workspace.put_tensor(tensor(2)))

    assert raw.heat_map is None
    assert len(raw.logits) == 3


def test_images_scored_together_get_the_scores_that_they_get_alone(
    scoring: Scoring, workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    package = packages["tiny_findings"]
    names = [workspace.put_tensor(tensor(seed)) for seed in range(24)]

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda name: scoring.score(package, name).logits, names))

    session = Session(package)
    alone = [session.run(tensor(seed)[None]).logits[0] for seed in range(24)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_nan_fails_its_own_request_only(
    scoring: Scoring, workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    name = workspace.put_tensor(tensor(3))

    with pytest.raises(ScoringFailed, match="NaN"):
        scoring.score(packages["tiny_nan"], name)

    assert scoring.score(packages["tiny_findings"], name).logits


def test_tensor_of_another_shape_fails_its_own_request_only(
    scoring: Scoring, workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    small = workspace.put_tensor(np.zeros((1, 8, 8), dtype=np.float32))
    good = workspace.put_tensor(tensor(4))

    with ThreadPoolExecutor(4) as threads:
        wanted = [threads.submit(scoring.score, packages["tiny_findings"], name) for name in (good, small, good)]

    assert [future.exception() is None for future in wanted] == [True, False, True]


def test_a_tensor_that_ends_a_thread_ends_the_process_and_nobody_waits_in_vain(
    workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    content = b"not an array"
    sha256 = hashlib.sha256(content).hexdigest()
    workspace.tensor_path(sha256).parent.mkdir(parents=True, exist_ok=True)
    workspace.tensor_path(sha256).write_bytes(content)
    scoring = open_scoring(workspace, packages, timeout_s=60.0)
    scoring.start()
    try:
        started = time.monotonic()
        with pytest.raises(ScoringFailed, match="died"):
            scoring.score(packages["tiny_findings"], sha256)

        assert time.monotonic() - started < 30.0
        assert scoring.score(packages["tiny_findings"], workspace.put_tensor(tensor(6))).logits
    finally:
        scoring.close()


def test_killed_process_fails_its_request_and_the_next_one_is_scored(
    workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    scoring = open_scoring(workspace, packages, timeout_s=5.0)
    scoring.start()
    name = workspace.put_tensor(tensor(5))
    try:
        pid = scoring.pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(scoring.score, packages["tiny_findings"], name)
            os.kill(pid, signal.SIGKILL)

        with pytest.raises(ScoringFailed):
            asked.result()
        assert scoring.score(packages["tiny_findings"], name).logits
        assert scoring.pid() != pid
    finally:
        scoring.close()


def test_process_that_dies_in_the_middle_of_its_answer_is_replaced(
    workspace: Workspace, packages: dict[str, ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring = open_scoring(workspace, packages)
    fork, broken = ForkServer.fork, [scoring]

    def fork_one_that_breaks(server: ForkServer, module: str, *arguments: str) -> Forked:
        return half_an_answer() if broken and broken.pop() else fork(server, module, *arguments)

    monkeypatch.setattr(ForkServer, "fork", fork_one_that_breaks)
    scoring.start()
    name = workspace.put_tensor(tensor(6))
    try:
        started = time.monotonic()
        with pytest.raises(ScoringFailed, match="died"):
            scoring.score(packages["tiny_findings"], name)

        assert scoring.score(packages["tiny_findings"], name).logits
        assert time.monotonic() - started < 15  # and not the 20 s after which an answer is given up
    finally:
        scoring.close()


def half_an_answer() -> Forked:
    """Return a process that is ready, takes one request, and dies while it answers."""
    words = """printf '{"ready": {}}\n'; read request; printf '{"id": "1", "logits": [0.'"""
    (hears, stdin), (stdout, speaks) = os.pipe(), os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, hears, 0), (os.POSIX_SPAWN_DUP2, speaks, 1)]
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", words], os.environ, file_actions=actions)
    os.close(hears)
    os.close(speaks)
    return Forked(pid, os.pidfd_open(pid), stdin=stdin, stdout=stdout)


def test_process_that_does_not_answer_is_replaced(workspace: Workspace, packages: dict[str, ModelPackage]) -> None:
    scoring = open_scoring(workspace, packages, timeout_s=0.5)
    scoring.start()
    name = workspace.put_tensor(tensor(6))
    try:
        pid = scoring.pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

        with pytest.raises(ScoringFailed, match="within"):
            scoring.score(packages["tiny_findings"], name)

        assert scoring.score(packages["tiny_findings"], name).logits
    finally:
        scoring.close()


def test_missing_provider_is_an_alarm_and_never_the_cpu(
    workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    scoring = open_scoring(workspace, packages, provider="tensorrt")
    scoring.start()
    try:
        assert scoring.alarm is not None
        assert "TensorrtExecutionProvider" in scoring.alarm
        assert scoring.provider is None
        with pytest.raises(ScoringFailed, match="TensorrtExecutionProvider"):
            scoring.score(packages["tiny_findings"], workspace.put_tensor(tensor(7)))
    finally:
        scoring.close()


def test_required_package_that_was_altered_stops_the_start(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_package(tmp_path, "tiny_findings")
    package = load_package(folder)
    (folder / "docs/README.md").write_text("altered")
    scoring = open_scoring(workspace, {"tiny_findings": package}, required=[package.sha256])
    try:
        with pytest.raises(PackageUnusable, match="altered"):
            scoring.start()
    finally:
        scoring.close()


def test_refused_package_that_serves_nobody_leaves_the_others_to_score(
    workspace: Workspace, packages: dict[str, ModelPackage], tmp_path: Path
) -> None:
    folder = write_package(tmp_path, "later_altered")
    altered = load_package(folder)
    (folder / "docs/README.md").write_text("altered")
    present = {**packages, "later_altered": altered}
    scoring = open_scoring(workspace, present, required=[packages["tiny_findings"].sha256])
    name = workspace.put_tensor(tensor(8))
    scoring.start()
    try:
        assert scoring.score(packages["tiny_findings"], name).logits
        with pytest.raises(ScoringFailed, match="altered"):
            scoring.score(altered, name)
    finally:
        scoring.close()


def test_half_precision_is_named_with_the_scores_of_packages_that_have_it(
    workspace: Workspace, packages: dict[str, ModelPackage], tmp_path: Path
) -> None:
    folder = write_package(tmp_path, "tiny_half")
    (folder / ONNX_HALF).write_bytes(to_half((folder / ONNX).read_bytes()))
    (folder / HASHES).write_text(json.dumps({"sha256": hash_files(folder)}))
    half, name = load_package(folder), workspace.put_tensor(tensor(9))
    scoring = open_scoring(workspace, {"half": half, "full": packages["tiny_findings"]}, precision="fp16")
    scoring.start()
    try:
        scores = {package.name: scoring.score(package, name) for package in (half, packages["tiny_findings"])}
    finally:
        scoring.close()

    assert scores["tiny_half"].provider == "CPUExecutionProvider/fp16"
    assert scores["tiny_findings"].provider == "CPUExecutionProvider"
    np.testing.assert_allclose(scores["tiny_half"].logits, scores["tiny_findings"].logits, atol=1e-2)
    assert scoring.provider == "CPUExecutionProvider"


@pytest.mark.slow
def test_process_that_hangs_at_a_later_start_holds_nobody_up_for_long(
    workspace: Workspace, packages: dict[str, ModelPackage]
) -> None:
    scoring = open_scoring(workspace, packages, timeout_s=1.0)
    scoring.start()
    name, first = workspace.put_tensor(tensor(10)), scoring.pid()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    try:
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(_fails, scoring, packages["tiny_findings"], name)
            until(lambda: scoring.pid() not in (first, None))
            os.kill(scoring.pid() or 0, signal.SIGSTOP)
            words = asked.result(timeout=120)

        assert words == "the scoring process does not start"
        assert "tried again in a while" in _fails(scoring, packages["tiny_findings"], name)
    finally:
        scoring.close()


def _fails(scoring: Scoring, package: ModelPackage, name: str) -> str:
    """Return why a tensor gets no scores; a process whose end was not noticed yet is asked twice."""
    for _ in range(2):
        with pytest.raises(ScoringFailed) as failed:
            scoring.score(package, name)
        if "died" not in str(failed.value):
            break
    return str(failed.value)
