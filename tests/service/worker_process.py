"""A worker in a process of its own, for tests that kill it: `python -m tests.service.worker_process SETTINGS.json`."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from service.settings import Settings
from service.worker import run_worker
from tests.service.inference import recipes


def main() -> None:
    settings = Settings(**json.loads(Path(sys.argv[1]).read_text()))
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    run_worker(settings, stop, lambda: os.write(1, b"ready\n") and None, recipes=recipes.MODULE)


if __name__ == "__main__":
    main()
