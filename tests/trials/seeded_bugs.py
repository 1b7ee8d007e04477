# ruff: noqa: E501 - the texts of other files stand on one line each
"""Would the simulation of trial 45 notice a bug? Puts small ones into a copy of the service, one at a time.

    python -m tests.trials.seeded_bugs                  # goes on where the last sitting stopped
    python -m tests.trials.seeded_bugs --minutes 30     # begins no bug after this long

Prints each bug with whether it was caught, and the rate, which must reach 90 %. What came out stands in
`docs/seeded_bugs.json`, which `python -m tests.trials report` tells; a change of the service or of the simulation makes
it void, and all bugs are tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.commit import commit
from tests.trials.__main__ import ROOT, SEEDED_BUGS

WANTED = 0.9
COMMAND = (
    "import logging; logging.disable(50); from tests.trials.simulation import simulate; "
    "simulate(1, runs=80, steps=150, explains=False)"
)
ENDLESS_S = 600.0
"""A simulation takes a minute at most; one that does not end has noticed."""
SOURCES = (
    "preprocessing/*.py", "service/**/*.py", "tests/factories.py", "tests/trials/expectations.py",
    "tests/trials/simulat*.py",
)  # fmt: skip
"""What a result depends on."""

Bug = tuple[str, str, str]

BUGS: tuple[Bug, ...] = (
    ("intake/records.py", "(known.content_sha256, known.transfer_syntax_uid) == same", "True"),
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
    ("intake/records.py", '_i.site_id == bindparam("site"), _i.sop_instance_uid == bindparam("uid")', '_i.sop_instance_uid == bindparam("uid")'),
    ("intake/records.py", '_s.site_id == bindparam("site"), _s.study_instance_uid == bindparam("uid")', '_s.study_instance_uid == bindparam("uid")'),
    ("intake/records.py", ".values(instance_count=_e.instance_count + 1)", ".values(instance_count=_e.instance_count)"),
    ("intake/records.py", "(known.content_sha256, known.transfer_syntax_uid) == same", "known.content_sha256 == arrival.content_sha256"),
    ("intake/records.py", 'known.is_result or policy.get("conflict_answer") == "warn"', 'known.is_result or policy.get("conflict_answer") != "warn"'),
    ("intake/records.py", "study.instance_count >= rules.max_instances", "study.instance_count > rules.max_instances"),
    ("intake/records.py", "study.instance_count >= rules.max_instances", "study.series_count >= rules.max_instances"),
    ("intake/records.py", "routed.waits(quiet_s, rules.partial_after_s)", "routed.waits(rules.partial_after_s, quiet_s)"),
    ("intake/records.py", '"series_id": series_id', '"series_id": study.id'),
    ("intake/records.py", '"received_at": now', '"received_at": study.arriving_since'),
    ("intake/records.py", '"is_result": False,\n        },', '"is_result": True,\n        },'),
    ("intake/records.py", "rules.tell_list(tx, study.id, now)", "rules.tell_list(tx, series_id, now)"),
    ("intake/records.py", "instance_count=1,\n            is_result=False", "instance_count=0,\n            is_result=False"),
    ("intake/records.py", "series_count=study.series_count + 1", "series_count=study.series_count"),
    ("intake/records.py", 'if study.state != "arriving":', 'if study.state == "settled":'),
    ("intake/records.py", 'if study.state != "arriving":', 'if study.state in ("scored", "unscored"):'),
    ("intake/records.py", 'study = replace(study, state="arriving", revision', "study = replace(study, revision"),
    ("intake/records.py", '"arriving_since": study.arriving_since,\n            "series_count"', '"arriving_since": now,\n            "series_count"'),
    ("intake/records.py", '            "last_instance_at": now,\n', ""),
    ("intake/records.py", "if header.patient_id != study.patient_id:", "if header.patient_id == study.patient_id:"),
    ("intake/problem_records.py", "            t.c.site_id == sender.site_id,\n", ""),
    ("intake/problem_records.py", "            t.c.resolved_at.is_(None),\n", ""),
    ("intake/problem_records.py", "site_id=sender.site_id,\n        door", "site_id=None,\n        door"),
    ("intake/problem_records.py", "study_instance_uid=short(study_instance_uid, 64)", "study_instance_uid=short(sop_instance_uid, 64)"),
    ("intake/problem_records.py", "        content_sha256=arrival.content_sha256,\n", ""),
    ("intake/settling.py", "t.c.site_id == site_id, t.c.study_instance_uid == study_instance_uid", "t.c.study_instance_uid == study_instance_uid"),
    ("intake/settling.py", "        return False\n", "        return True\n"),
    ("intake/settling.py", '{"expected_instances": expected_instances}', '{"expected_instances": expected_instances or row.instance_count}'),
    ("intake/settling.py", '"settle_by": "done"', '"settle_by": "count"'),
    ("intake/settling.py", "update(t).where(t.c.id == row.id).values(**values))\n    return True", "update(t).where(t.c.site_id == site_id).values(**values))\n    return True"),
    ("intake/settling.py", ".limit(limit)", ".limit(1)"),
    ("intake/settling.py", "attempt=1", "attempt=0"),
    ("intake/settling.py", '"settled_at": settled_at}', '"settled_at": now}'),
    ("intake/settling.py", "update(t).where(t.c.id == row.id).values(**values))\n    return [", "update(t).where(t.c.revision == row.revision).values(**values))\n    return ["),
    ("intake/settling.py", "_s.settle_at <= now, _s", "_s.settle_at < now, _s"),
    ("intake/settling.py", "_s.settle_at <= now, _s.last_instance_at > now + CLOCK_SLACK_S", "_s.settle_at <= now"),
    ("intake/settling.py", "and_(_s.settle_at.is_not(None), or_(_s.settle_at <= now, _s.last_instance_at > now + CLOCK_SLACK_S))", "or_(_s.settle_at <= now, _s.last_instance_at > now + CLOCK_SLACK_S)"),
    ("intake/studies.py", '(modality, "default")', '("default", modality)'),
    ("intake/studies.py", '(site_policy.get("quiet_s"), default)', '(default, site_policy.get("quiet_s"))'),
    ("intake/studies.py", "if instance_count == expected_instances:", "if expected_instances is not None and instance_count >= expected_instances:"),
    ("intake/studies.py", 'Due(now, "count")', 'Due(now, "done")'),
    ("intake/studies.py", "limit < quiet", "limit <= quiet"),
    ("rounds.py", "            self._settle(now)\n        with self._database.reading() as tx:\n            waiting = revision_records.list_waiting(tx)\n", "            with self._database.reading() as tx:\n                waiting = revision_records.list_waiting(tx)\n            self._settle(now)\n        else:\n            waiting = []\n"),
    ("rounds.py", "        for one in waiting:\n            if one", "        with self._database.transaction() as tx:\n            revision_records.mark_queued(tx, waiting, now)\n        for one in waiting:\n            if one"),
    ("rounds.py", "if one.attempt > 1:", "if one.attempt > 2:"),
    ("rounds.py", "asked_class=one.asked_class", "asked_class=one.attempt"),
    ("rounds.py", "revision_records.mark_queued(tx, waiting, now)", "revision_records.mark_queued(tx, waiting, time.time())"),
    ("rounds.py", "self._engine.cancel([Attempt(study_id, number, attempt)])", "self._engine.cancel([Attempt(study_id, attempt, number)])"),
    ("rounds.py", "case State.DONE | State.CANCELED:", "case State.DONE:"),
    ("rounds.py", "                case _:\n                    continue", "                case _:\n                    break"),
    ("rounds.py", "                update_item(tx, study_id=study.study_id, now=now, settings=self._parts.settings)\n", "                pass\n"),
    ("rounds.py", "update_item(tx, study_id=study.study_id,", "update_item(tx, study_id=study.number,"),
    ("pipeline.py", "planned = do(self.plan, damaged)", "planned = do(self.plan, [])"),
    ("pipeline.py", "            except StepFailed:\n                do(self.note_unpublished)\n", "            except StepFailed:\n                pass\n"),
    ("pipeline.py", "            try:\n                do(self.publish)\n            except StepFailed:\n                do(self.note_unpublished)\n            do(self.finish)\n", "            do(self.finish)\n            try:\n                do(self.publish)\n            except StepFailed:\n                do(self.note_unpublished)\n"),
    ("pipeline.py", "records.list_instances(tx, revision.study_id, revision.number)\n        damaged", "records.list_instances(tx, revision.study_id, revision.attempt)\n        damaged"),
    ("pipeline.py", "is_intact(one.site_id, one.content_sha256)", "is_intact(revision.study_id, one.content_sha256)"),
    ("pipeline.py", "                    instance=instance,\n", ""),
    ("pipeline.py", "study_id=revision.study_id,\n                    now", "study_id=revision.id,\n                    now"),
    ("pipeline.py", "return [instance.id for instance in damaged]", "return []"),
    ("pipeline.py", "records.list_instances(tx, revision.study_id, revision.number)\n            releases", "records.list_instances(tx, revision.study_id, revision.attempt)\n            releases"),
    ("pipeline.py", "            records.drop_runs(tx, revision, but=keep | {(run.instance_id, run.package) for run in ended})\n", ""),
    ("pipeline.py", "                records.save_run(tx, revision, run)\n            for", "                pass\n            for"),
    ("pipeline.py", "records.save_geometry(tx, volume.series_id,", "records.save_geometry(tx, volume.instances[0].id,"),
    ("pipeline.py", "current = revision_records.find_revision(tx, revision.study_id, revision.number)", "current = revision"),
    ("pipeline.py", "for _, run in records.list_runs(tx, revision.id)]", "for _, run in records.list_runs(tx, revision.number)]"),
    ("pipeline.py", 'any(run.outcome == "done" for run in seen)', 'all(run.outcome == "done" for run in seen)'),
    ("pipeline.py", 'any(run.outcome == "done" for run in seen)', 'any(run.outcome != "failed" for run in seen)'),
    ("pipeline.py", 'if run.outcome == "failed" or not is_scored', 'if run.outcome == "failed"'),
    ("pipeline.py", "            update_item(tx, study_id=revision.study_id, now=now, settings=self._parts.settings, ai_priority=priority)\n", ""),
    ("pipeline.py", "if revision is None or revision.attempt != attempt.number", "if revision is None or revision.attempt < attempt.number"),
    ("pipeline.py", "return Attempt(revision.study_id, revision.number, revision.attempt)", "return Attempt(revision.study_id, revision.attempt, revision.number)"),
    ("inference/revision_records.py", "select(func.max(t.c.number)).where(t.c.study_id == study_id)", "select(func.max(t.c.number))"),
    ("inference/revision_records.py", "(newest == t.c.number)", "(newest >= t.c.number)"),
    ("inference/revision_records.py", "Revision(row.id, row.site_id, study_id", "Revision(row.site_id, row.id, study_id"),
    ("inference/revision_records.py", ".order_by(asked_class(), t.c.settled_at)", ".order_by(asked_class(), t.c.settled_at.desc())"),
    ("inference/revision_records.py", "t.c.study_id == one.study_id, t.c.number == one.number", "t.c.number == one.number"),
    ("inference/revision_records.py", "t.c.study_id == one.study_id, t.c.number == one.number", "t.c.study_id == one.study_id"),
    ("inference/revision_records.py", "t.c.queued_at < queued_before", "t.c.queued_at <= queued_before"),
    ("inference/revision_records.py", ".where(t.c.state.in_(UNFINISHED), t.c.queued_at", '.where(t.c.state == "running", t.c.queued_at'),
    ("inference/revision_records.py", 't.c.state == "canceled", t.c.finished_at.is_(None)', 't.c.state == "canceled"'),
    ("inference/revision_records.py", 't.c.state == "canceled", t.c.finished_at.is_(None)', "t.c.finished_at.is_(None)"),
    ("inference/revision_records.py", "started_at=func.coalesce(t.c.started_at, now)", "started_at=now"),
    ("inference/revision_records.py", "queued_at=func.coalesce(t.c.queued_at, now)", "queued_at=now"),
    ("inference/revision_records.py", "detail=detail, finished_at=now", "detail=detail"),
    ("inference/revision_records.py", ".where(t.c.id == revision.study_id, t.c.revision", ".where(t.c.revision"),
    ("inference/revision_records.py", 't.c.revision == revision.number, t.c.state != "arriving"', 't.c.state != "arriving"'),
    ("inference/revision_records.py", '{"state": state, "reason": reason.value if reason else None}', '{"state": state}'),
    ("inference/revision_records.py", "            started_at=None,\n            finished_at=None", "            started_at=None"),
    ("inference/revision_records.py", "            started_at=None,\n", ""),
    ("inference/revision_records.py", "select(s.c.id, func.max(t.c.number)", "select(s.c.id, func.min(t.c.number)"),
    ("interventions.py", "            return True\n        reason = Reason.PIPELINE_FAILED", "        reason = Reason.PIPELINE_FAILED"),
    ("interventions.py", " or revision.state not in UNFINISHED:\n            return False\n        note", ":\n            return False\n        note"),
    ("interventions.py", "        update_item(tx, study_id=revision.study_id, now=now, settings=settings)\n    log", "    log"),
    ("interventions.py", "study_id=revision.study_id,\n        now=now", "study_id=revision.id,\n        now=now"),
    ("interventions.py", 'state="unscored", reason=reason, now=now)\n        update_item(tx, study_id=revision.study_id, now=now, settings=settings)\n    UNSCORED', 'state="settled", reason=None, now=now)\n        update_item(tx, study_id=revision.study_id, now=now, settings=settings)\n    UNSCORED'),
    ("interventions.py", "        update_item(tx, study_id=revision.study_id, now=now, settings=settings)\n    return True", "    return True"),
    ("interventions.py", "detail = Reason.CANCELED,", "detail = Reason.PIPELINE_FAILED,"),
    ("inference/records.py", "t.c.study_id == study_id, t.c.revision <= number", "t.c.study_id == study_id, t.c.revision == number"),
    ("inference/records.py", "t.c.study_id == study_id, t.c.revision <= number", "t.c.revision <= number"),
    ("inference/records.py", "            t.c.instance_id == run.instance_id,\n", ""),
    ("inference/records.py", "            t.c.revision_id == revision.id,\n", ""),
    ("inference/records.py", "t.c.revision_id == revision.id)).all()", "t.c.study_id == revision.study_id)).all()"),
    ("inference/records.py", "*same, t.c.resolved_at.is_(None)", "*same"),
    ("inference/records.py", "if tx.execute(select(t.c.id).where(*same, t.c.resolved_at.is_(None))).first() is None:", "if True:"),
    ("inference/volumes.py", "[one for one in instances if one.id not in slices]", "list(instances)"),
    ("inference/volumes.py", "for one in broken]\n            continue", "for one in broken]"),
    ("inference/plan.py", "return min(with_reason", "return max(with_reason"),
    ("inference/plan.py", 'return "failed" if reason in FAILURES else "not_applicable"', 'return "not_applicable" if reason in FAILURES else "failed"'),
    ("worklist/records.py", "func.min(revision.c.settled_at)", "func.max(revision.c.settled_at)"),
    ("worklist/records.py", '"due_at": due_at(row.complete_at,', '"due_at": due_at(now,'),
    ("worklist/records.py", "worklist_item.c.id == row.item_id", "worklist_item.c.site_id == row.site_id"),
    ("worklist/records.py", '"updated_at": now', '"updated_at": row.first_image_at'),
    ("worklist/items.py", "due_minutes[priority.word] * 60.0", "due_minutes[priority.word]"),
    ("database.py", "                connection.rollback()\n                raise", "                connection.commit()\n                raise"),
)  # fmt: skip
"""File of the service, its text, and what stands there instead; chosen before it was known which are noticed.

Two change nothing that the simulation could see, and count as missed all the same: `end_canceled` names the attempt, and
a canceled attempt never has another state again, since a restart makes the next one; and `all` for `any` differs only
where a package has scored something, which no package does there.
"""


def main() -> int:
    """Return 0 when enough of the bugs were caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1e6)
    until = time.monotonic() + 60 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name in ("models", "preprocessing", "service", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("web", "__pycache__"))
        sources = digest(tree)
        judged, hours = judged_before(SEEDED_BUGS, sources)
        left = [bug for bug in BUGS if key_of(bug) not in judged]
        assert not left or is_well(tree), "the simulation breaks without any bug"
        for bug in left:
            started = time.monotonic()
            if started > until:
                break
            judged[key_of(bug)] = is_caught(tree, *bug)
            hours += (time.monotonic() - started) / 3600
            SEEDED_BUGS.write_text(json.dumps(told(judged, hours, sources), indent=1) + "\n")
    caught = sum(judged.values())
    print(f"{caught} of {len(judged)} bugs caught, {caught / len(judged):.0%}; {len(BUGS) - len(judged)} not yet tried")
    return int(caught < WANTED * len(judged))


def judged_before(path: Path, sources: str) -> tuple[dict[str, bool], float]:
    """Return whether each bug was caught that was tried on these sources, and the hours that it took."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    if known.get("sources") != sources:
        return {}, 0.0
    wanted = {key_of(bug) for bug in BUGS}
    return {key: caught for key, caught in known["judged"].items() if key in wanted}, known["hours"]


def told(judged: dict[str, bool], hours: float, sources: str) -> dict[str, Any]:
    """Return what the file of results holds."""
    missed = [bug for bug in BUGS if judged.get(key_of(bug)) is False]
    return {
        "commit": commit(),
        "hours": round(hours, 2),
        "tried": len(judged),
        "caught": sum(judged.values()),
        "missed": [{"file": name, "right": right, "wrong": wrong} for name, right, wrong in missed],
        "sources": sources,
        "judged": judged,
    }


def key_of(bug: Bug) -> str:
    """Return a short name of a bug that another text does not have."""
    return hashlib.sha256("\0".join(bug).encode()).hexdigest()[:16]


def digest(tree: Path) -> str:
    """Return a hash over what the results depend on."""
    every = hashlib.sha256(COMMAND.encode())
    for path in sorted(path for pattern in SOURCES for path in tree.glob(pattern)):
        every.update(f"{path.relative_to(tree)}\0".encode() + path.read_bytes())
    return every.hexdigest()


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
    try:
        return subprocess.run(command, cwd=tree, capture_output=True, timeout=ENDLESS_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    sys.exit(main())
