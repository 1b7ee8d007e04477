"""Trial 41: networks that crash, hang, run out of memory, give NaN or wrong shapes, are slow or are gone."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from sqlalchemy import select

from models.files import HASHES, ONNX, hash_files
from models.package import load_package
from models.session import Session
from service import tables
from service.inference.breaker import OPEN_S
from service.workspace import Workspace
from tests.driver import role
from tests.factories import make_radiograph
from tests.service.inference.packages import SIZE, write_package
from tests.service.worker_site import PIXELS, Site, open_site, until, working
from tests.trials.trial import Counts, Trial

STUDIES_A_FAULT = 4
FAULTS_A_SEED = 2
LIMIT_S = 60.0
SETTINGS: Mapping[str, Any] = {"scoring_timeout_s": 2.0, "step_attempts": 3, "decode_wall_s": 30.0}
BAD = ("out_of_memory", "gives_nan", "wrong_shape")


def run(seed: int, folder: Path) -> Counts:
    """Let studies flow while their network is broken in one way after the other."""
    chance = random.Random(seed)
    made = {name: _bad_package(folder, name) for name in BAD}
    good = write_package(folder / "models", "good")
    package = load_package(good)
    network = (good / ONNX).read_bytes()
    session = Session(package)
    hits: list[int] = []
    faults: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
        "crash": lambda: _again_and_again(lambda child: os.kill(child, signal.SIGKILL), chance.uniform(0.2, 1.0), hits),
        "hang": lambda: _again_and_again(lambda child: os.kill(child, signal.SIGSTOP), chance.uniform(0.5, 1.5), hits),
        "slow": lambda: _again_and_again(_run_a_tenth, 0.0, hits),
        "missing": lambda: _missing(good / ONNX, network),
    }
    order = ["none", *chance.sample(sorted(faults), k=FAULTS_A_SEED)]
    if seed % 2:  # a network that is well again is used again, once its circuit closes by itself
        order.append("none")
    fault_of: dict[str, str] = {}
    with open_site(folder, **SETTINGS) as site:
        site.release(good, *made.values())
        with working(site):
            for number, fault in enumerate(order):
                if fault == "none" and number:
                    time.sleep(OPEN_S + 2.0)
                with faults.get(fault, contextlib.nullcontext)():
                    sent = [_send(site, 10_000 * seed + 100 * number + n) for n in range(STUDIES_A_FAULT)]
                    fault_of |= dict.fromkeys(sent, fault)
                    until(lambda sent=sent: _all_ended(site, sent), timeout_s=3 * LIMIT_S)  # type: ignore[misc]
        return {**_judge(site, session, fault_of), "hits": len(hits)}


def _send(site: Site, seed: int) -> str:
    """Send a film of its own: scores of the same tensor would be remembered."""
    noise = np.random.default_rng(seed).integers(0, 200, PIXELS.shape).astype(PIXELS.dtype)
    dataset = make_radiograph(PIXELS + noise, PatientAge="050Y")
    assert site.parts.send(dataset).is_kept
    return str(dataset.StudyInstanceUID)


def _all_ended(site: Site, sent: list[str]) -> bool:
    s = tables.study.c
    with site.parts.database.reading() as rx:
        states = rx.execute(select(s.state).where(s.study_instance_uid.in_(sent))).scalars().all()
    return all(state in ("scored", "unscored") for state in states)


def _judge(site: Site, session: Session, fault_of: Mapping[str, str]) -> Counts:
    workspace = Workspace(site.parts.settings.work_folder)
    counts = dict.fromkeys(
        ("studies", "scored", "not_in_the_queue", "wrong_flag", "mixed", "failed_without_cause", "wait_s_max"), 0.0
    )
    with site.parts.database.reading() as rx:
        rows = rx.execute(
            select(
                tables.study, tables.worklist_item.c.state.label("item"), tables.revision.c.id.label("revision_id"),
                tables.revision.c.settled_at.label("begun"), tables.revision.c.finished_at.label("ended"),
            )
            .join(tables.worklist_item, tables.worklist_item.c.study_id == tables.study.c.id)
            .join(tables.revision, tables.revision.c.study_id == tables.study.c.id)
        ).mappings().all()  # fmt: skip
        runs = rx.execute(select(tables.run)).mappings().all()
        found = rx.execute(select(tables.finding)).mappings().all()
    counts["studies"] = len(rows)
    counts["not_in_the_queue"] = len(fault_of) - sum(row["item"] == "scheduled" for row in rows)
    for row in rows:
        own = {run["package"]: run for run in runs if run["study_id"] == row["id"]}
        is_done = own["good"]["outcome"] == "done"
        flag = ("scored", None) if is_done else ("unscored", "model_failed")
        counts["scored"] += is_done
        counts["wait_s_max"] = max(counts["wait_s_max"], row["ended"] - row["begun"])
        counts["wrong_flag"] += (row["state"], row["reason"]) != flag
        counts["wrong_flag"] += any((own[n]["outcome"], own[n]["reason"]) != ("failed", "model_failed") for n in BAD)
        counts["failed_without_cause"] += fault_of[row["study_instance_uid"]] == "none" and not is_done
        for name, run in own.items():
            scores = [f["raw_score"] for f in found if f["run_id"] == run["id"]]
            counts["mixed"] += run["outcome"] != "done" and bool(scores)
            if run["outcome"] == "done":
                counts["mixed"] += name != "good" or run["package_sha256"] != session.package.sha256
                direct = session.run(np.asarray(workspace.tensor(run["tensor_sha256"]))[None]).logits[0]
                counts["mixed"] += len(scores) != len(direct) or not np.allclose(scores, direct, atol=1e-5)
    return counts


def _children() -> list[int]:
    """Return the process ids of the scoring children below this process: its fork server is their parent."""
    parent_of = {
        int(folder.name): int((_read(folder / "stat").rpartition(b")")[2].split() or [b"", b"0"])[1])
        for folder in Path("/proc").glob("[0-9]*")
    }
    own = os.getpid()
    return [
        pid
        for pid, parent in parent_of.items()
        if own in (parent, parent_of.get(parent)) and role(pid) == "scoring_child"
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # of a process that has just ended
        return b""


@contextmanager
def _again_and_again(act: Callable[[int], None], pause_s: float, hits: list[int]) -> Iterator[None]:
    """Do something to the scoring process, whichever it is by then, for at most ten seconds; note when it was done."""
    stop = threading.Event()

    def go() -> None:
        until_s = time.monotonic() + 10.0
        while not stop.wait(pause_s) and time.monotonic() < until_s:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    act(child)
                    hits.append(child)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run_a_tenth(child: int) -> None:
    os.kill(child, signal.SIGSTOP)
    time.sleep(0.09)
    os.kill(child, signal.SIGCONT)
    time.sleep(0.01)


@contextmanager
def _missing(path: Path, content: bytes) -> Iterator[None]:
    """Take a package's network away and make the scoring process look for it."""
    path.unlink()
    for child in _children():
        os.kill(child, signal.SIGKILL)
    try:
        yield
    finally:
        path.write_bytes(content)
        for child in _children():
            os.kill(child, signal.SIGKILL)


def _bad_package(folder: Path, name: str) -> Path:
    """Write a package whose description is right and whose network is not."""
    made = write_package(folder / "models", name, is_nan=name == "gives_nan")
    if name != "gives_nan":
        (made / ONNX).write_bytes(_bad_graph(name))
        (made / HASHES).write_text(json.dumps({"sha256": hash_files(made)}))
    return made


def _bad_graph(name: str) -> bytes:
    """Return a graph that asks for a terabyte, or whose logits have another shape than it says."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("heat_map", TensorProto.FLOAT, ["batch", 2, 7, 7]),
    ]
    constants = [
        helper.make_tensor("weight", TensorProto.FLOAT, [1, 2], [0.001, 0.001]),
        helper.make_tensor("flat_shape", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("kernel", TensorProto.FLOAT, [2, 1, 1, 1], [1.0, 1.0]),
        helper.make_tensor("large", TensorProto.INT64, [2], [1 << 20, 1 << 18]),
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("level", TensorProto.FLOAT, [2], [-1e9, 1e9]),
        helper.make_tensor("first", TensorProto.INT64, [], [0]),
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["two"]),
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Conv", ["small", "kernel"], ["heat_map"]),
    ]
    if name == "out_of_memory":
        nodes += [
            helper.make_node("Expand", ["flat", "large"], ["terabyte"]),
            helper.make_node("ReduceMax", ["terabyte"], ["most"], keepdims=1),
            helper.make_node("Add", ["two", "most"], ["logits"]),
        ]
    else:
        nodes += [
            helper.make_node("Gather", ["two", "first"], ["row"], axis=0),
            helper.make_node("Greater", ["row", "level"], ["which"]),
            helper.make_node("Compress", ["two", "which"], ["logits"], axis=1),
        ]
    graph = helper.make_graph(nodes, name, [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


TRIAL = Trial(
    number="41",
    title="a network crashes, hangs, runs out of memory, gives NaN or a wrong shape, is ten times slower, is gone",
    run=run,
    counted="studies",
    full=1_000,
    never=("not_in_the_queue", "wrong_flag", "mixed", "failed_without_cause"),
    at_most={"wait_s_max": LIMIT_S},
    at_least={"scored": 1, "hits": 1},
    quick=(0, 1, 2),
)
