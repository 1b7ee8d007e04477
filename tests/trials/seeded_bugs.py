# ruff: noqa: E501 - the texts of other files stand on one line each
"""Would the simulation of trial 45 notice a bug? Puts small ones into a copy of the service, one at a time.

    python -m tests.trials.mutants

Prints each bug with whether it was caught, and the rate, which must reach 90 %.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WANTED = 0.9
COMMAND = (
    "import logging; logging.disable(50); from tests.trials.simulation import simulate; "
    "simulate(1, runs=25, steps=120, explains=False)"
)

MUTANTS: tuple[tuple[str, str, str], ...] = (
    ("intake/records.py", "known.content_sha256 == arrival.content_sha256", "True"),
    ("intake/records.py", "return Kind.DUPLICATE, None", "pass"),
    ("intake/records.py", "        hold(tx, arrival, reason, now)\n", ""),
    ("intake/records.py", "if again.rowcount:", "if False:"),
    ("intake/records.py", 'if study.state != "arriving":', "if False:"),
    ("intake/records.py", "revision=study.revision + 1", "revision=study.revision"),
    ("intake/records.py", "instance_count=study.instance_count + 1", "instance_count=study.instance_count"),
    ("intake/records.py", '"revision": study.revision,\n            "door"', '"revision": 1,\n            "door"'),
    ("intake/records.py", '"settle_at": due.at', '"settle_at": None'),
    ("intake/records.py", "if rules.on_new_study is not None:", "if False:"),
    ("intake/records.py", '"content_sha256": arrival.content_sha256,', '"content_sha256": "0" * 64,'),
    ("intake/settling.py", '"state": "settled", "reason": None, "settle_at": None', '"state": "settled", "reason": None'),
    ("intake/settling.py", "number=row.revision,", "number=1,"),
    ("intake/settling.py", "_s.settle_at <= now", "_s.settle_at <= now + 30"),
    ("intake/settling.py", "_s.settle_at <= now", "_s.settle_at < 0"),
    ("intake/settling.py", '{"state": "settled", "reason": None', '{"state": "arriving", "reason": None'),
    ("intake/studies.py", "quiet = now + quiet_s", "quiet = now"),
    ("intake/studies.py", "quiet = now + quiet_s", "quiet = now + quiet_s / 2"),
    ("rounds.py", "if one.attempt > 1:", "if one.attempt == 1:"),
    ("rounds.py", "self._engine.enqueue(attempt, center_priority=one.center_priority)", "pass"),
    ("rounds.py", "attempt = Attempt(one.study_id, one.number, one.attempt)", "attempt = Attempt(one.study_id, 1, 1)"),
    ("rounds.py", "case None:", "case 0:"),
    ("rounds.py", "case State.DONE | State.CANCELED:", "case State.CANCELED:"),
    ("rounds.py", '            self._end(attempt, "the pipeline could not finish this study")\n', ""),
    ("pipeline.py", "except StepFailed as failed:\n                do(self.fail, failed.step)", "except StepFailed:\n                pass"),
    ("pipeline.py", 'return {"stopped": True}\n        return', "pass\n        return"),
    ("pipeline.py", "        except Stopped:\n            return", "        except Stopped:\n            raise"),
    ("pipeline.py", 'current.state != "running" or current.attempt', "current.attempt"),
    ("pipeline.py", "unscored = None if is_scored else reason", "unscored = None"),
    ("pipeline.py", "            do(self.finish)\n", ""),
    ("inference/revision_records.py", "t.c.revision == revision.number, t.c.state != \"arriving\"", "True"),
    ("inference/revision_records.py", "attempt=revision.attempt + 1", "attempt=revision.attempt"),
    ("inference/revision_records.py", "            queued_at=None,\n            started_at=None", "            started_at=None"),
    ("inference/revision_records.py", '.values(queued_at=None, state="settled")', '.values(state="settled")'),
    ("inference/revision_records.py", '.where(s.c.public_id == public_id, s.c.state != "arriving")', ".where(s.c.public_id == public_id)"),
    ("interventions.py", 'state="unscored", reason=reason, now=now)\n        update_item(tx, study_id=revision.study_id', 'state="settled", reason=None, now=now)\n        update_item(tx, study_id=revision.study_id'),
    ("interventions.py", "revision.attempt != attempt.number or", ""),
    ("interventions.py", "        if not revision.is_newest:\n", "        if False:\n"),
    ("interventions.py", "        revision_records.begin_attempt(tx, revision)\n", ""),
    ("interventions.py", "revision is None or revision.state not in UNFINISHED:\n            return False\n        reason", "revision is None:\n            return False\n        reason"),
)  # fmt: skip
"""File of the service, its text, and what stands there instead."""


def main() -> int:
    """Return 0 when enough of the bugs were caught."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name in ("models", "preprocessing", "tests"):
            (tree / name).symlink_to(ROOT / name, target_is_directory=True)
        shutil.copytree(ROOT / "service", tree / "service", ignore=shutil.ignore_patterns("web", "__pycache__"))
        assert is_well(tree), "the simulation breaks without any bug"
        caught = [is_caught(tree, *mutant) for mutant in MUTANTS]
    rate = sum(caught) / len(caught)
    print(f"{sum(caught)} of {len(caught)} bugs caught, {rate:.0%}")
    return int(rate < WANTED)


def is_caught(tree: Path, name: str, right: str, wrong: str) -> bool:
    """Put one bug in, simulate, take it out; tell whether it was noticed."""
    path = tree / "service" / name
    source = path.read_text()
    assert right in source, f"{name} no longer holds {right!r}"
    path.write_text(source.replace(right, wrong, 1))
    try:
        caught = not is_well(tree)
    finally:
        path.write_text(source)
    print("caught" if caught else "MISSED", name, repr(right), "->", repr(wrong), flush=True)
    return caught


def is_well(tree: Path) -> bool:
    """Tell whether the simulation runs through."""
    command = [sys.executable, "-W", "ignore", "-B", "-c", COMMAND]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
