# ruff: noqa: E501 - the texts of other files stand on one line each
"""Would the simulation of trial 45 notice a bug? Puts small ones into a copy of the service, one at a time.

    python -m tests.trials.seeded_bugs

Prints each bug with whether it was caught, and the rate, which must reach 90 %; writes `docs/seeded_bugs.json`, which
`python -m tests.trials report` tells.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.commit import commit
from tests.trials.__main__ import ROOT, SEEDED_BUGS

WANTED = 0.9
COMMAND = (
    "import logging; logging.disable(50); from tests.trials.simulation import simulate; "
    "simulate(1, runs=40, steps=150, explains=False)"
)

BUGS: tuple[tuple[str, str, str], ...] = (
    ("intake/records.py", "known.content_sha256 == arrival.content_sha256", "True"),
    ("intake/records.py", "return Kind.DUPLICATE, None", "pass"),
    ("intake/records.py", "        hold(tx, arrival, reason, now)\n", ""),
    ("intake/problem_records.py", "if again.rowcount:", "if False:"),
    ("intake/records.py", 'if study.state != "arriving":', "if False:"),
    ("intake/records.py", "revision=study.revision + 1", "revision=study.revision"),
    ("intake/records.py", "instance_count=study.instance_count + 1", "instance_count=study.instance_count"),
    ("intake/records.py", '"revision": study.revision,\n            "door"', '"revision": 1,\n            "door"'),
    ("intake/records.py", '"settle_at": due.at', '"settle_at": None'),
    ("intake/records.py", "if rules.tell_list is not None and (study.is_new or routed.is_more_urgent):", "if False:"),
    ("intake/records.py", '"content_sha256": arrival.content_sha256,', '"content_sha256": "0" * 64,'),
    ("intake/settling.py", '"state": "settled", "reason": None, "settle_at": None', '"state": "settled", "reason": None'),
    ("intake/settling.py", "number=row.revision,", "number=1,"),
    ("intake/settling.py", "_s.settle_at <= now", "_s.settle_at <= now + 30"),
    ("intake/settling.py", "_s.settle_at <= now", "_s.settle_at < 0"),
    ("intake/settling.py", '{"state": "settled", "reason": None', '{"state": "arriving", "reason": None'),
    ("intake/studies.py", "quiet = now + quiet_s", "quiet = now"),
    ("intake/studies.py", "quiet = now + quiet_s", "quiet = now + quiet_s / 2"),
    ("rounds.py", "if one.attempt > 1:", "if one.attempt == 1:"),
    ("rounds.py", "self._engine.enqueue(attempt, asked_class=one.asked_class)", "pass"),
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
    ("intake/records.py", "arriving_since=now)\n    study = replace", "arriving_since=study.arriving_since)\n    study = replace"),
    ("intake/records.py", "expected_instances=study.expected_instances,", "expected_instances=None,"),
    ("intake/problem_records.py", "            t.c.content_sha256 == arrival.content_sha256,\n", ""),
    ("intake/records.py", '"settle_by": due.by', '"settle_by": "quiet"'),
    ("intake/problem_records.py", "count=t.c.count + 1", "count=t.c.count"),
    ("intake/settling.py", "values |= {", "values = {"),
    ("intake/settling.py", 'row.state == "arriving" and (expected', "(expected"),
    ("intake/settling.py", "row.instance_count >= expected_instances", "row.instance_count > expected_instances"),
    ("intake/settling.py", "row.instance_count >= expected_instances", "True"),
    ("intake/settling.py", '"settle_at": now, "settle_by": "done"', '"settle_at": now + 60, "settle_by": "done"'),
    ("intake/settling.py", "settled_at = min(row.settle_at, now)", "settled_at = now"),
    ("intake/settling.py", "settled_by=row.settle_by,", 'settled_by="quiet",'),
    ("intake/settling.py", "return True", "return False"),
    ("intake/studies.py", "if instance_count == expected_instances:", "if expected_instances is not None:"),
    ("intake/studies.py", "limit < quiet", "limit > quiet"),
    ("intake/studies.py", "limit = arriving_since + partial_after_s", "limit = now + partial_after_s"),
    ("rounds.py", "if is_due:", "if not is_due:"),
    ("rounds.py", "                revision_records.mark_queued(tx, waiting, now)\n", "                pass\n"),
    ("rounds.py", "            self._engine.cancel([Attempt(study_id, number, attempt)])\n", ""),
    ("rounds.py", "one.number, one.attempt - 1)", "one.number, one.attempt)"),
    ("rounds.py", "            self._engine.forget([attempt])\n", ""),
    ("rounds.py", "queued_before=self._parts.clock() - MISSING_AFTER_S", "queued_before=self._parts.clock() - 1e6"),
    ("rounds.py", "queued_before=self._parts.clock() - MISSING_AFTER_S", "queued_before=self._parts.clock() + 1"),
    ("pipeline.py", "revision is None or revision.attempt != attempt.number or revision", "revision is None or revision"),
    ("pipeline.py", "or revision.attempt != attempt.number or revision.state not in UNFINISHED", "or revision.attempt != attempt.number"),
    ("pipeline.py", "current.state != \"running\" or current.attempt != revision.attempt", "current.state != \"running\""),
    ("pipeline.py", "                do(self.note_unpublished)", "                do(self.fail, \"publish\")\n                return"),
    ("pipeline.py", "            revision_records.set_study_state(tx, revision, state=state, reason=unscored, now=now)\n", ""),
    ("pipeline.py", "            revision_records.end_revision(tx, revision.id, state=state, reason=reason, detail=detail, now=now)\n", ""),
    ("pipeline.py", "revision_records.supersede(tx, revision, self._clock())", "pass"),
    ("pipeline.py", 'kind="damaged"', 'kind="dead_letter"'),
    ("inference/revision_records.py", "t.c.attempt == revision.attempt, t.c.state.in_(UNFINISHED))\n        .values(\n", "t.c.attempt == revision.attempt)\n        .values(\n"),
    ("inference/revision_records.py", ", queued_at=func.coalesce(t.c.queued_at, now)", ""),
    ("inference/revision_records.py", "t.c.id == revision.id, t.c.attempt == revision.attempt, t", "t.c.id == revision.id, t"),
    ("inference/revision_records.py", '.where(t.c.state == "settled", t.c.queued_at.is_(None))', '.where(t.c.state == "settled")'),
    ("inference/revision_records.py", '.where(t.c.state == "settled", t.c.queued_at.is_(None))', ".where(t.c.queued_at.is_(None))"),
    ("inference/revision_records.py", "t.c.attempt == one.attempt)", "True)"),
    ("inference/revision_records.py", 't.c.attempt == attempt, t.c.state == "canceled")', "t.c.attempt == attempt)"),
    ("inference/revision_records.py", "t.c.attempt == attempt, t.c.state.in_(UNFINISHED))", "t.c.attempt == attempt)"),
    ("inference/revision_records.py", 'state="superseded"', 'state="unscored"'),
    ("interventions.py", "        note_dead_letter(tx, revision, detail, now)\n", ""),
    ("interventions.py", "            revision_records.supersede(tx, revision, now)\n", ""),
    ("interventions.py", '        revision_records.end_revision(tx, revision.id, state="canceled", reason=reason, detail=detail, now=None)\n', ""),
    ("interventions.py", 'reason=reason, detail=detail, now=None)', "reason=reason, detail=detail, now=now)"),
    ("interventions.py", 'revision_records.set_study_state(tx, revision, state="settled", reason=None, now=now)', "pass"),
)  # fmt: skip
"""File of the service, its text, and what stands there instead.

One changes nothing that can be seen, and counts as missed all the same: `end_canceled` names the attempt, and a canceled
attempt never has another state again, since a restart makes the next one.
"""


def main() -> int:
    """Return 0 when enough of the bugs were caught."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name in ("models", "preprocessing", "tests"):
            (tree / name).symlink_to(ROOT / name, target_is_directory=True)
        shutil.copytree(ROOT / "service", tree / "service", ignore=shutil.ignore_patterns("web", "__pycache__"))
        assert is_well(tree), "the simulation breaks without any bug"
        missed = [bug for bug in BUGS if not is_caught(tree, *bug)]
    caught = len(BUGS) - len(missed)
    told = {
        "commit": commit(),
        "hours": round((time.monotonic() - started) / 3600, 1),
        "tried": len(BUGS),
        "caught": caught,
        "missed": [{"file": name, "right": right, "wrong": wrong} for name, right, wrong in missed],
    }
    SEEDED_BUGS.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{caught} of {len(BUGS)} bugs caught, {caught / len(BUGS):.0%}")
    return int(caught < WANTED * len(BUGS))


def is_caught(tree: Path, name: str, right: str, wrong: str) -> bool:
    """Put one bug in, simulate, take it out; tell whether it was noticed."""
    path = tree / "service" / name
    source = path.read_text()
    assert right in source, f"{name} no longer holds {right!r}"
    path.write_text(source.replace(right, wrong, 1))
    try:
        compile(path.read_text(), name, "exec")
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
