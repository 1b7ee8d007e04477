"""CT and MR series of a study: which images are slices, how they lie, which packages read them as a volume."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.frames import FrameFile
from preprocessing.header import InstanceHeader, age_years, from_json
from preprocessing.planes import VOLUME_CLASSES
from preprocessing.problems import Problem, ProblemCode
from preprocessing.series import SeriesGeometry, arrange
from preprocessing.stacking import Slice, Stack
from preprocessing.view import View
from service.inference.plan import (
    ADULT_AGE_YEARS,
    MODALITY_OF_CLASS,
    UNKNOWN_AGE_NOTE,
    Planned,
    Site,
    as_ruled,
    check_age,
    check_rules,
    ended_run,
    not_here,
    plan,
    settle_runs,
    shown_findings,
)
from service.inference.records import Release, Run, StoredInstance
from service.metrics import SERIES_ARRANGED_TOTAL, SERIES_PROBLEMS_TOTAL

log = logging.getLogger("pandok.inference")

FAULTS = frozenset(
    {ProblemCode.SLICES_MISSING, ProblemCode.DUPLICATES_DIFFER, ProblemCode.POSITION_MISSING}
    | {ProblemCode.POSITION_CONSTANT, ProblemCode.ORIENTATION_MISSING, ProblemCode.ORIENTATION_DEGENERATE}
    | {ProblemCode.SPACING_MISSING, ProblemCode.FRAMES_CONTRADICT}
)
"""Problems that the center can put right: by sending what is missing, or by exporting what was left out."""

PathOf = Callable[[StoredInstance], Path]


@dataclass(frozen=True)
class Volume:
    """One CT or MR series of a study revision.

    Attributes:
        instances: What of it is no radiograph, in the order in which it came.
        headers: Of each.
        geometry: What the headers say of the slices.
    """

    series_id: int
    instances: tuple[StoredInstance, ...]
    headers: tuple[InstanceHeader, ...]
    geometry: SeriesGeometry

    @property
    def anchor(self) -> int:
        """Place of the instance that stands for the series in runs: the middle slice of its largest stack."""
        stacks = self.geometry.stacks
        return stacks[0].order[len(stacks[0].order) // 2].image if stacks else 0

    @cached_property
    def content_sha256(self) -> str:
        """Over all that its tensor depends on."""
        return content_of(self.instances)

    def to_json(self) -> dict[str, object]:
        """Return what the series' row keeps. Slices are (instance id, frame)."""
        return {
            "content_sha256": self.content_sha256,
            "stacks": [self._stack(stack) for stack in self.geometry.stacks],
            "apart": [{"why": one.why.value, "slices": self._slices(one.order)} for one in self.geometry.apart],
            "problems": _problems(self.geometry.problems),
        }

    def faults(self) -> dict[str, int] | None:
        """Return what only the center can put right, by code with the number of slices; None when there is nothing."""
        faults = Counter[str]()
        for problem in self.geometry.refusals:
            if problem.code in FAULTS:
                faults[problem.code.value] += problem.count
        if any(problem.code in FAULTS for problem in self.geometry.problems):
            # What has no position may well be what seems to be missing.
            del faults[ProblemCode.SLICES_MISSING]
        return dict(faults) or None

    def _stack(self, stack: Stack) -> dict[str, object]:
        return {
            "slices": self._slices(stack.order),
            "affine_lps_mm": stack.affine,
            "spacing_mm": stack.spacing_mm,
            "shape": stack.shape,
            "tilt_degrees": round(stack.tilt_degrees, 3),
            "is_volume": stack.is_volume,
            "problems": _problems(stack.problems),
        }

    def _slices(self, slices: Iterable[Slice]) -> list[list[int]]:
        return [[self.instances[one.image].id, one.frame] for one in slices]


def _problems(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [{**asdict(problem), "code": problem.code.value} for problem in problems]


def content_of(instances: Iterable[StoredInstance]) -> str:
    """Return a hash over the files of a series, whatever their order."""
    return hashlib.sha256("\n".join(sorted(one.content_sha256 for one in instances)).encode()).hexdigest()


def is_slice(header: InstanceHeader) -> bool:
    """Tell whether an image is CT or MR and not a film that only says so."""
    return header.sop_class_uid in VOLUME_CLASSES and not header.view_position


def members(instances: Iterable[StoredInstance]) -> tuple[StoredInstance, ...]:
    """Return those of a series with slices that are read as one volume: all that are no radiographs."""
    return tuple(one for one in instances if one.header.get("sop_class_uid") not in MODALITY_OF_CLASS)


def find_volumes(instances: Sequence[StoredInstance], path_of: PathOf) -> list[Volume]:
    """Return the CT and MR series of a study revision, their slices arranged; every one is counted and logged.

    Args:
        instances: Of the revision.
        path_of: Where a stored file is; read only to tell copies of a slice from slices that differ.
    """
    by_series: dict[int, list[StoredInstance]] = {}
    with_slices = set()
    for instance in instances:
        by_series.setdefault(instance.series_id, []).append(instance)
        if instance.header.get("sop_class_uid") in VOLUME_CLASSES and is_slice(from_json(instance.header)):
            with_slices.add(instance.series_id)
    found = []
    for series_id in with_slices:
        own = members(by_series[series_id])
        volume = Volume(series_id, own, tuple(from_json(one.header) for one in own), _arranged(own, path_of))
        codes = sorted({p.code.value for p in volume.geometry.problems})
        codes += sorted({p.code.value for stack in volume.geometry.stacks for p in stack.problems})
        SERIES_ARRANGED_TOTAL.labels("volume" if volume.geometry.volume else "no_volume").inc()
        for code in codes:
            SERIES_PROBLEMS_TOTAL.labels(code).inc()
        log.info("series arranged", extra=_told(series_id, own, codes))
        found.append(volume)
    return sorted(found, key=lambda volume: volume.series_id)


def _told(series_id: int, own: Sequence[StoredInstance], codes: Sequence[str]) -> dict[str, object]:
    words = " ".join(codes)[:120] or None
    return {"series_id": series_id, "instances": len(own), "problems": len(codes), "code": words}


def _arranged(instances: Sequence[StoredInstance], path_of: PathOf) -> SeriesGeometry:
    @cache
    def digest(one: Slice) -> str:
        return FrameFile(path_of(instances[one.image])).digest(one.frame)

    def same_pixels(one: Slice, other: Slice) -> bool:
        try:
            return digest(one) == digest(other)
        except (UnsupportedImage, OSError):
            return False

    return arrange([from_json(instance.header) for instance in instances], same_pixels)


def plan_study(
    instances: Sequence[StoredInstance],
    volumes: Sequence[Volume],
    *,
    damaged: Collection[int],
    site: Site,
    now: float,
) -> tuple[list[Planned], list[Run]]:
    """Plan a study revision: its series of slices as volumes, every other image by itself."""
    slices = {one.id for volume in volumes for one in volume.instances}
    planned, ended = plan(
        [one for one in instances if one.id not in slices],
        damaged=damaged,
        site=site,
        now=now,
    )
    more = plan_volumes(volumes, damaged=damaged, site=site, now=now)
    return planned + more[0], ended + more[1]


def plan_volumes(
    volumes: Sequence[Volume], *, damaged: Collection[int], site: Site, now: float
) -> tuple[list[Planned], list[Run]]:
    """Return what is to run, and for every series of which readers will see nothing a run that says why.

    Args:
        volumes: Of one study revision.
        damaged: Ids of instances whose stored file is not what was stored: their series is not whole.
        site: What is released and loaded.
        now: Written into the runs that end here.
    """
    planned: list[Planned] = []
    ended: list[Run] = []
    for volume in volumes:
        broken = [one.id for one in volume.instances if one.id in damaged]
        if broken:
            detail = "the stored file is missing or is not what was stored"
            ended += [ended_run(one, Reason.STORED_FILE_DAMAGED, detail, now) for one in broken]
            continue
        anchor_id = volume.instances[volume.anchor].id
        runs = [as_ruled(_apply(volume, anchor_id, one, site, now), anchor_id, one, site, now) for one in site.releases]
        detail = "no package that reads CT or MR series is released for this site"
        chosen, others = settle_runs(runs, ended_run(anchor_id, Reason.NO_VOLUME_PACKAGE, detail, now))
        planned += chosen
        ended += others
    return planned, ended


def _apply(volume: Volume, anchor_id: int, release: Release, site: Site, now: float) -> Planned | Run | None:
    """Return the planned run of a release on a series, or the run that ends here; None where it reads images."""
    package = site.packages.get(release.package_sha256)
    if package is None:
        return not_here(anchor_id, release, "released package", now)
    if not package.reads_series:
        return None
    header = volume.headers[volume.anchor]
    shown = shown_findings(package, release.shows)
    age, notes = age_years(header), []
    if age is None and site.unknown_age_as_adult:
        age = ADULT_AGE_YEARS
        notes.append(UNKNOWN_AGE_NOTE)
    try:
        check_rules(package.applies_to, header, View.UNKNOWN)
        check_age(package, shown, age)
    except UnsupportedImage as refusal:
        return ended_run(anchor_id, refusal.reason, refusal.detail, now)
    if package.applies_to.body_parts and not header.body_part_examined:
        # No scope gate looks at a volume: what the header does not say stays unknown.
        return ended_run(anchor_id, Reason.OUT_OF_SCOPE, "the header does not name the body part", now)
    if volume.geometry.volume is None:
        why = "; ".join(dict.fromkeys(problem.detail for problem in volume.geometry.refusals))
        return ended_run(anchor_id, Reason.GEOMETRY_REFUSED, why, now)
    return Planned(anchor_id, package.sha256, None, None, None, tuple(notes), shown)
