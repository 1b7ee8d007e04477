"""One image in ten kills its decoder: the others are scored, the deadly ones set aside and seen as unscored."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from pydicom import Dataset

from service import tables
from tests.service.inference.packages import write_gate, write_package
from tests.service.worker_site import Site, open_site, until, working
from tests.trials.trial import Counts, Trial

STUDIES = 60
"""Of one seed, besides as many without a deadly one among them."""
DEATHS = {"ABORT": 2, "SEGV": 2, "PANIC": 2, "MEMORY": 1, "SPIN": 1}
"""What an image does to its decoder, and how often it may before it is set aside."""
REASONS = {"ABORT": "decoder_died", "SEGV": "decoder_died", "PANIC": "decoder_died"}
_ENDS = ("scored", "unscored")


def run(seed: int, folder: Path) -> Counts:
    """Let studies flow through a real worker, first kind ones, then with every tenth deadly."""
    chance = Random(seed)
    with ExitStack() as stack:
        site = stack.enter_context(open_site(folder, decode_cpu_s=1, decode_memory_bytes=1 << 30))
        site.release(write_package(folder / "models", "tiny", gate="gate"), write_gate(folder / "models", "gate"))
        stack.enter_context(working(site))
        kind_s, kind = _flow(site, [""] * STUDIES, first=1)
        wanted = [chance.choice(sorted(DEATHS)) if number % 10 == 0 else "" for number in range(STUDIES)]
        mixed_s, mixed = _flow(site, wanted, first=1_000)
        deadly = {dataset: word for dataset, word in zip(mixed, wanted, strict=True) if word}
        others = [*kind, *(one for one in mixed if one not in deadly)]
        return {
            "studies": len(kind) + len(mixed),
            "deadly": len(deadly),
            "others_not_scored": sum(site.study(_named(uid))["state"] != "scored" for uid in others),
            "deadly_not_unscored": sum(not _is_unscored(site, uid, word) for uid, word in deadly.items()),
            "not_set_aside": sum(not _is_set_aside(site, uid, DEATHS[word]) for uid, word in deadly.items()),
            "not_in_worklist": sum(not _is_listed(site, uid) for uid in [*others, *deadly]),
            "slower_percent_max": 100 * (mixed_s / kind_s - 1),
        }


def _flow(site: Site, words: list[str], *, first: int) -> tuple[float, list[str]]:
    """Send a study for each word and wait for all; returns seconds until the kind ones were scored, and UIDs."""
    started = time.monotonic()
    sent = [site.send(seed=first + n, **({"PatientID": word} if word else {})) for n, word in enumerate(words)]
    kind = [dataset for dataset, word in zip(sent, words, strict=True) if not word]
    until(lambda: all(site.study(dataset)["state"] in _ENDS for dataset in kind), timeout_s=300)
    seconds = time.monotonic() - started
    until(lambda: all(site.study(dataset)["state"] in _ENDS for dataset in sent), timeout_s=300)
    return seconds, [str(dataset.StudyInstanceUID) for dataset in sent]


def _named(uid: str) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = uid
    return dataset


def _is_unscored(site: Site, uid: str, word: str) -> bool:
    study = site.study(_named(uid))
    return (study["state"], study["reason"]) == ("unscored", REASONS.get(word, "limit_exceeded"))


def _is_set_aside(site: Site, uid: str, deaths: int) -> bool:
    """Tell whether a study's image was quarantined after so many deaths, and an operator told."""
    rows = site.rows(tables.instance, site.study(_named(uid))["id"])
    [instance] = [row for row in rows if not row["is_result"]]
    sha256 = instance["content_sha256"]
    with site.parts.database.reading() as tx:
        poison = tx.execute(tables.poison.select().where(tables.poison.c.content_sha256 == sha256)).mappings().all()
        problems = tx.execute(tables.problem.select().where(tables.problem.c.content_sha256 == sha256)).all()
    return [row["deaths"] for row in poison] == [deaths] and bool(poison[0]["quarantined_at"]) and len(problems) == 1


def _is_listed(site: Site, uid: str) -> bool:
    return len(site.rows(tables.worklist_item, site.study(_named(uid))["id"])) == 1


def told(counts: Counts) -> str:
    """Tell how much longer the others took, which is not judged."""
    if "slower_percent_max" not in counts:
        return ""
    return (
        "beside deadly images the other studies of one seed took at most "
        f"{counts['slower_percent_max']:+.0f} % more time, where +10 % are asked for. It is not judged: two short "
        "stretches are compared, between which a shared machine's speed wanders by more than that, and a decoder that "
        "spins takes a processor until its time is over."
    )


TRIAL = Trial(
    "13",
    "images that kill their decoder, one in ten, while studies flow",
    run,
    "studies",
    1_000,
    never=("others_not_scored", "deadly_not_unscored", "not_set_aside", "not_in_worklist"),
    at_least={"deadly": 1},
    timeout_s=600.0,
    told=told,
)
