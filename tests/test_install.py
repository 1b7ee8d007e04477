"""The Dockerfile's steps, rehearsed in a clean folder: a wheel with the serving dependencies alone runs the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.driver import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds the built wheel and nothing of training or tests."""
    folder = tmp_path_factory.mktemp("serving")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[cpu,demo]"], check=True
    )
    return python


def test_serving_environment_has_no_torch(serving: Path) -> None:
    asked = "import importlib.util as u; print([m for m in ('torch', 'monai', 'onnx', 'sklearn') if u.find_spec(m)])"

    done = subprocess.run([str(serving), "-c", asked], capture_output=True, text=True, check=True, cwd="/")

    assert done.stdout.strip() == "[]"


@pytest.fixture
def demo(serving: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "PANDOK_WEB_PORT": str(free_port()),
        "PANDOK_DICOM_PORT": str(free_port()),
    }
    process = subprocess.Popen(
        [str(serving.parent / "pandok"), "demo"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    yield process
    process.send_signal(signal.SIGTERM)  # as a service manager does: it must take every part with it
    assert process.wait(60) == 0


def test_installed_wheel_scores_the_demo_film_and_prints_a_link(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    said = []
    deadline = time.monotonic() + 240

    for line in demo.stdout:
        said.append(line)
        if "Ctrl-C" in line or time.monotonic() > deadline:
            break

    text = "".join(said)
    assert "1 scored" in text, text
    assert text.count("/sign-in#token=") == 3, text
    assert all(page in text for page in ("/worklist", "/admin", "/center")), text
