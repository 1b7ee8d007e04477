"""Run trials at full size, in as many sittings as it takes.

    python -m tests.trials run 09 --minutes 30     # goes on where the last sitting stopped
    python -m tests.trials run 09 --seed 4711      # one seed again, to look at what failed
    python -m tests.trials run 45 --since 0b1c2d3  # what was run before this commit again
    python -m tests.trials report                  # writes docs/trials.md from what docs/trials.jsonl holds

Every seed that was run stands as one line in `docs/trials.jsonl`, with its commit; a share (`--share 2/4`) takes each
fourth seed, so that four machines never do the same work.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commit import commit
from tests.trials.trial import BROKEN_OFF, Counts, Missing, Trial, add_up, all_trials

ROOT = Path(__file__).resolve().parents[2]
LEDGER = ROOT / "docs" / "trials.jsonl"
PAGE = ROOT / "docs" / "trials.md"
SEEDED_BUGS = ROOT / "docs" / "seeded_bugs.json"
"""Written by `python -m tests.trials.seeded_bugs`."""


def main() -> int:
    """Return 0 when nothing that was run has a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("numbers", nargs="*", help="which trials; none is all")
    run.add_argument("--minutes", type=float, default=30.0, help="begin no seed after this long")
    run.add_argument("--seed", type=int)
    run.add_argument("--since", metavar="COMMIT", help="runs of earlier commits do not count")
    run.add_argument("--share", default="1/1", help="this sitting's part of the seeds, such as 2/4")
    commands.add_parser("report")
    arguments = parser.parse_args()
    if arguments.command == "report":
        PAGE.write_text(page(all_trials(), rows(), every_row()))
        print(PAGE.relative_to(ROOT))
        return 0
    chosen = [trial for trial in all_trials() if not arguments.numbers or trial.number in arguments.numbers]
    if arguments.seed is not None:
        return sum(not sit(trial, arguments.seed) for trial in chosen)
    until = time.monotonic() + 60 * arguments.minutes
    own, of = map(int, arguments.share.split("/"))
    counting = commits_since(arguments.since) if arguments.since else None
    failed = 0
    for trial in chosen:
        for seed in seeds_left(trial, own, of, counting):
            if time.monotonic() > until:
                return failed
            failed += not sit(trial, seed)
    return failed


def seeds_left(trial: Trial, own: int, of: int, counting: Collection[str] | None = None) -> Iterator[int]:
    """Yield the seeds that no sitting has run yet, until the full count is reached; of these commits, where given."""
    seed = own - 1
    while True:
        done = [row for row in rows() if row["trial"] == trial.number]
        done = [row for row in done if counting is None or row["commit"].removesuffix("-dirty") in counting]
        if add_up(row["counts"] for row in done).get(trial.counted, 0) >= trial.full:
            return
        if seed not in {row["seed"] for row in done}:
            yield seed
        seed += of


def sit(trial: Trial, seed: int) -> bool:
    """Run one seed, say and note what came out; tell whether it is without fault."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pandok-trial-") as folder:
        try:
            with ends_within(trial.timeout_s):
                counts = dict(trial.run(seed, Path(folder)))
        except Missing as what:
            print(f"{trial.number} not run: {what}", flush=True)
            return False
        except Exception:  # noqa: BLE001 - a seed that does not come to its end is a fault like any other
            traceback.print_exc()
            counts = {BROKEN_OFF: 1}
    row = {
        "trial": trial.number,
        "seed": seed,
        "commit": commit(),
        "seconds": round(time.monotonic() - started, 1),
        "counts": counts,
    }
    faults = trial.faults(counts)
    print(json.dumps(row), *faults, flush=True)
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(row) + "\n")
    return not faults


def commits_since(first: str) -> Collection[str]:
    """Return a commit and all that came after it, as rows name them. Raises CalledProcessError."""
    told = subprocess.run(
        ["git", "rev-list", "--abbrev-commit", "HEAD", f"^{first}^@"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return frozenset(told.stdout.split())


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Break off what takes longer than this (TimeoutError)."""

    def break_off(_number: int, _frame: object) -> None:
        raise TimeoutError(f"not at its end after {seconds:.0f} s")

    signal.signal(signal.SIGALRM, break_off)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def every_row() -> list[dict]:  # type: ignore[type-arg]
    """Return what was run so far, in its order."""
    return [json.loads(line) for line in LEDGER.read_text().splitlines()] if LEDGER.is_file() else []


def rows() -> list[dict]:  # type: ignore[type-arg]
    """Return what was run so far; of a seed that was run again, what came out last."""
    return list({(row["trial"], row["seed"]): row for row in every_row()}.values())


def failed_first(trials: list[Trial], every: list[dict]) -> list[str]:  # type: ignore[type-arg]
    """Return what is to be told of seeds that had a fault and were run again on the same commit: it may come again."""
    known = {trial.number: trial for trial in trials}
    last = {(row["trial"], row["seed"]): row for row in every}
    told = [
        f"- {row['trial']}, seed {row['seed']}, {row['commit']}: {'; '.join(faults)}"
        for row in every
        if row["trial"] in known and (faults := known[row["trial"]].faults(row["counts"]))
        if (now := last[row["trial"], row["seed"]]) is not row and now["commit"] == row["commit"]
    ]
    if not told:
        return []
    return ["", "Seeds that failed and were run again on the same commit; the table has what came out last:", "", *told]


def page(trials: list[Trial], done: list[dict], every: list[dict]) -> str:  # type: ignore[type-arg]
    """Return the page of results: of what was done last with each seed, and of every row that was written."""
    lines = [
        "# Trials of reliability",
        "",
        "What was attacked or broken on purpose, how often, and what came out. `python -m tests.trials run` goes on",
        "where the last sitting stopped, `python -m tests.trials report` writes this page from",
        "[trials.jsonl](trials.jsonl), which has a line for every seed. The test command runs a part of each, or",
        "all of a short one.",
        "",
        "| trial | what is done | done | of | | must be 0, or within its limit | hours | commits |",
        "| --- | --- | ---: | ---: | --- | --- | ---: | --- |",
    ]
    for trial in trials:
        own = [row for row in done if row["trial"] == trial.number]
        total = add_up(row["counts"] for row in own)
        told = ", ".join(
            [f"{_words(name)} {_figure(total.get(name))}" for name in trial.never]
            + [f"{_words(name)} {_figure(total.get(name))} (≤ {limit:g})" for name, limit in trial.at_most.items()]
            + [f"{_words(name)} {_figure(total.get(name))} (≥ {floor:g})" for name, floor in trial.at_least.items()]
        )
        commits = sorted({row["commit"] for row in own})
        hours = sum(row["seconds"] for row in own) / 3600
        lines.append(
            f"| {trial.number} | {trial.title} | {_figure(total.get(trial.counted, 0))} {_words(trial.counted)} "
            f"| {trial.full:,} | {verdict(trial, total)} | {told if own else ''} | {hours:.1f} | {', '.join(commits)} |"
        )
    lines += ["", *told_beside(trials, done)]
    return "\n".join([*lines, *failed_first(trials, every), *seeded_bugs(SEEDED_BUGS)]) + "\n"


def told_beside(trials: list[Trial], done: list[dict]) -> list[str]:  # type: ignore[type-arg]
    """Return what trials have to say of their counts beyond what is judged."""
    said = {t.number: t.told(add_up(row["counts"] for row in done if row["trial"] == t.number)) for t in trials}
    lines = [f"- {number}: {words}" for number, words in said.items() if words]
    return ["Told beside that, and not judged:", "", *lines] if lines else []


def seeded_bugs(path: Path) -> list[str]:
    """Return what `python -m tests.trials.seeded_bugs` found: whether trial 45 would notice what it looks for."""
    if not path.is_file():
        return []
    told = json.loads(path.read_text())
    share = 100 * told["caught"] / told["tried"]
    lines = [
        "",
        "## Would trial 45 notice a bug?",
        "",
        f"`python -m tests.trials.seeded_bugs` puts one bug after the other into a copy of the service: the simulation "
        f"notices {told['caught']} of {told['tried']} ({share:.0f} %, at least 90 % are asked for; "
        f"{told['commit']}, {told['hours']} hours).",
    ]
    if told["missed"]:
        lines += ["", "Missed:", ""]
        lines += [f"- `{one['file']}`: `{_line(one['right'])}` → `{_line(one['wrong'])}`" for one in told["missed"]]
    return lines


def _line(code: str) -> str:
    return " ".join(code.split()) or "(nothing)"


def verdict(trial: Trial, total: Counts) -> str:
    """Say in a word or two how a trial stands."""
    if not total:
        return "not yet run"
    if faults := trial.faults(total):
        return "**" + "; ".join(_words(fault) for fault in faults) + "**"
    return "passed" if total[trial.counted] >= trial.full else "so far passed"


def _words(name: str) -> str:
    return name.removesuffix("_max").removesuffix("_min").replace("_", " ")


def _figure(value: float | None) -> str:
    return "missing" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


if __name__ == "__main__":
    sys.exit(main())
