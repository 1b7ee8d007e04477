"""Which releases apply to which images of a study; from headers alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from models.package import AppliesTo, ModelPackage
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader, age_years, from_json
from preprocessing.scope import check_header, is_chest_text
from preprocessing.view import View, read_view
from service.inference.records import Release, Run, StoredInstance
from service.routing import Decision, Decisions
from service.routing.rules import chosen_packages

ADULT_AGE_YEARS = 18.0
"""What an unknown age counts as where a site's policy says `unknown_age=adult`."""
UNKNOWN_AGE_NOTE = "unknown_age_as_adult"

HEADER_RULES: Mapping[str, Callable[[InstanceHeader], None]] = {"chest_radiograph": check_header}
"""What a recipe refuses by the header alone, by the recipe's name without its version."""

MODALITY_OF_CLASS = {"1.2.840.10008.5.1.4.1.1.1": "CR", "1.2.840.10008.5.1.4.1.1.1.1": "DX"}
"""What an empty Modality means, where the SOP class leaves no doubt."""

TELLING = (
    # What needs an operator, whatever else there is.
    Reason.STORED_FILE_DAMAGED, Reason.DECODER_DIED, Reason.LIMIT_EXCEEDED, Reason.MODEL_FAILED,
    Reason.PIPELINE_FAILED, Reason.PIXEL_DATA_DAMAGED, Reason.TRANSFER_SYNTAX_UNSUPPORTED,
    # Then the further an image came, the more its reason says of the study.
    Reason.AGE_UNKNOWN, Reason.AGE_OUT_OF_RANGE, Reason.RULED_OUT, Reason.NO_RELEASE, Reason.GEOMETRY_REFUSED,
    Reason.CONTRADICTORY_HEADER, Reason.INVERTED, Reason.UPSIDE_DOWN, Reason.ROTATED, Reason.OUT_OF_SCOPE,
    Reason.TOO_SMALL, Reason.COLOUR_IMAGE, Reason.MULTI_FRAME, Reason.NO_PIXEL_DATA, Reason.FOR_PROCESSING,
    Reason.VIEW_UNKNOWN, Reason.LATERAL_VIEW, Reason.NOT_A_CHEST, Reason.NO_VOLUME_PACKAGE,
    Reason.WRONG_MODALITY, Reason.CANCELED,
)  # fmt: skip
"""Of several reasons in a study the first of these is shown: a lateral view beside a damaged frontal one explains
nothing."""

FAILURES = frozenset(TELLING[: TELLING.index(Reason.TRANSFER_SYNTAX_UNSUPPORTED) + 1])
"""Reasons after which a run has failed; after any other it did not apply."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A package that is to run on an instance, or on the volume whose middle slice it is.

    Hashes name packages; nothing here tells of a patient.
    """

    instance_id: int
    package_sha256: str
    gate_sha256: str | None
    view: str | None
    view_source: str | None
    notes: tuple[str, ...]
    shown: tuple[str, ...] | None
    """The findings that readers will see, as in `Run`."""
    routing: tuple[Decision, ...] = ()
    """The routing rule that chose the package."""

    def to_json(self) -> dict[str, object]:
        """Return JSON values, for the engine's record."""
        return {
            **asdict(self),
            "notes": list(self.notes),
            "shown": None if self.shown is None else list(self.shown),
            "routing": [decision.to_json() for decision in self.routing],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Planned:
        """Read what `to_json` gave."""
        notes = values["notes"]
        shown, routing = values.get("shown"), values.get("routing")  # absent in a plan from before they were there
        return cls(
            instance_id=int(str(values["instance_id"])),
            package_sha256=str(values["package_sha256"]),
            gate_sha256=_text(values["gate_sha256"]),
            view=_text(values["view"]),
            view_source=_text(values["view_source"]),
            notes=tuple(str(note) for note in notes) if isinstance(notes, list) else (),
            shown=tuple(str(finding) for finding in shown) if isinstance(shown, list) else None,
            routing=tuple(Decision.from_json(one) for one in routing) if isinstance(routing, list) else (),
        )

    @classmethod
    def of(cls, run: Run) -> Planned:
        """Return what a run that is done was planned as; its gate has been passed."""
        return cls(
            run.instance_id, run.package_sha256 or "", None, run.view, run.view_source, (), run.shown, run.routing
        )


@dataclass(frozen=True, slots=True)
class Site:
    """What serves a site.

    Attributes:
        releases: Package versions that serve it.
        packages: What is loaded, by hash.
        unknown_age_as_adult: The site's policy.
        routed: What routing rules decided of an instance, by its id.
    """

    releases: Sequence[Release]
    packages: Mapping[str, ModelPackage]
    unknown_age_as_adult: bool
    routed: Mapping[int, Decisions] = field(default_factory=dict)


def plan(
    instances: Sequence[StoredInstance], *, damaged: Collection[int], site: Site, now: float
) -> tuple[list[Planned], list[Run]]:
    """Return what is to run, and for every instance of which readers will see nothing a run that says why.

    Args:
        instances: Of one study revision, without the slices of volumes, for which `volumes.plan_volumes` is.
        damaged: Ids of instances whose stored file is not what was stored.
        site: What serves the site.
        now: Written into the runs that end here.
    """
    planned: list[Planned] = []
    ended: list[Run] = []
    for instance in instances:
        if instance.id in damaged:
            detail = "the stored file is missing or is not what was stored"
            ended.append(ended_run(instance.id, Reason.STORED_FILE_DAMAGED, detail, now))
            continue
        header, of = from_json(instance.header), instance.id
        runs = [as_ruled(_apply(of, header, one, site, now), of, one, site, now) for one in site.releases]
        unread = ended_run(instance.id, Reason.NO_RELEASE, "no package is released for this site", now)
        chosen, others = settle_runs(runs, unread)
        planned += chosen
        ended += others
    return planned, ended


def settle_runs(runs: Sequence[Planned | Run | None], unread: Run) -> tuple[list[Planned], list[Run]]:
    """Return what is to run, and what ends here: failures, and where readers will see nothing the reason for that.

    Args:
        runs: Of one image or volume, one for each release; None where the release has nothing to do with it.
        unread: The run that ends here when no release has.
    """
    chosen = [run for run in runs if isinstance(run, Planned)]
    failed = [run for run in runs if isinstance(run, Run) and run.package is not None]
    if failed or any(run.shown != () for run in chosen):
        return chosen, failed
    if chosen:
        unread = replace(unread, reason=Reason.NO_RELEASE, detail="released packages show no findings here")
    return chosen, [most_telling([run for run in runs if isinstance(run, Run)]) or unread]


def shown_findings(package: ModelPackage, shows: Collection[str]) -> tuple[str, ...]:
    """Return the findings of a package that readers see: validated ones always, experimental ones that are named."""
    return tuple(output.finding for output in package.outputs if not output.experimental or output.finding in shows)


def as_ruled(
    run: Planned | Run | None, instance_id: int, release: Release, site: Site, now: float
) -> Planned | Run | None:
    """Return a release's run on an image, or on the series that it stands for, as the routing rules leave it."""
    decisions = site.routed.get(instance_id, {})
    chosen = chosen_packages(decisions, [release.package])
    if run is None or not decisions:
        return run
    if release.package not in chosen:
        ended = ended_run(instance_id, Reason.RULED_OUT, "a routing rule leaves this package out here", now)
        return replace(ended, routing=(decisions["packages"],))
    by = chosen[release.package]
    return run if by is None else replace(run, routing=(by,))


def _apply(instance_id: int, header: InstanceHeader, release: Release, site: Site, now: float) -> Planned | Run | None:
    """Return the planned run of a release on an image, or the run that ends here.

    None for a gate by itself, and for a package that reads volumes.
    """
    package = site.packages.get(release.package_sha256)
    if package is not None and (package.kind != "findings" or package.reads_series):
        return None
    gate = _gate(package, site) if package else None
    if package is None or (package.gate is not None and gate is None):
        return not_here(instance_id, release, "released package" if package is None else "package's scope gate", now)
    stated = read_view(header)
    shown = shown_findings(package, release.shows)
    notes = [f"{stated.view.value}_view"] if stated.view in (View.AP, View.UNKNOWN) else []
    age = age_years(header)
    if age is None and site.unknown_age_as_adult:
        age = ADULT_AGE_YEARS
        notes.append(UNKNOWN_AGE_NOTE)
    try:
        HEADER_RULES.get(package.recipe.partition("/")[0], _no_rule)(header)
        check_rules(package.applies_to, header, stated.view)
        check_age(package, shown, age)
    except UnsupportedImage as refusal:
        return ended_run(instance_id, refusal.reason, refusal.detail, now)
    return Planned(
        instance_id,
        package.sha256,
        gate.sha256 if gate else None,
        None if stated.view is View.UNKNOWN else stated.view.value,
        stated.source,
        tuple(notes),
        shown,
    )


def not_here(instance_id: int, release: Release, what: str, now: float) -> Run:
    """Return the failed run of a release that this worker cannot do."""
    return replace(
        ended_run(instance_id, Reason.MODEL_FAILED, f"the {what} is not on this worker", now),
        package=release.package,
        package_version=release.package_version,
        package_sha256=release.package_sha256,
    )


def check_rules(rules: AppliesTo, header: InstanceHeader, view: View) -> None:
    """Hold an image against a package's rules. What a header leaves empty passes: the scope gate looks at the image."""
    modality = (header.modality or MODALITY_OF_CLASS.get(header.sop_class_uid or "", "")).upper()
    if rules.modalities and modality not in _upper(rules.modalities):
        raise UnsupportedImage(Reason.WRONG_MODALITY, "the package does not read this modality")
    body_part = (header.body_part_examined or "").upper()
    is_chest = is_chest_text(body_part)
    named = "CHEST" if is_chest else body_part
    if rules.body_parts and is_chest is not None and named not in _upper(rules.body_parts):
        raise UnsupportedImage(Reason.NOT_A_CHEST, "the package does not read this body part")
    allowed = _upper(rules.views)
    if not allowed or view is View.UNKNOWN or view.value.upper() in allowed:
        return
    if view is View.FRONTAL and allowed & {"PA", "AP"}:
        return
    if view is View.LATERAL:
        raise UnsupportedImage(Reason.LATERAL_VIEW, "the package does not read lateral views")
    raise UnsupportedImage(Reason.OUT_OF_SCOPE, "the package does not read this view")


def check_age(package: ModelPackage, shown: Collection[str], age: float | None) -> None:
    """An image is scored only when at least one output that readers see speaks for the patient's age.

    Of a package that runs for the record alone, any output will do.
    """
    if age is None:
        raise UnsupportedImage(Reason.AGE_UNKNOWN, "no age in the header, and the site scores known ages only")
    rules = package.applies_to
    is_covered = _is_between(age, rules.min_age_years, rules.max_age_years) and any(
        _is_between(age, output.min_age_years, output.max_age_years)
        for output in package.outputs
        if output.finding in shown or not shown
    )
    if not is_covered:
        raise UnsupportedImage(Reason.AGE_OUT_OF_RANGE, "the package does not speak for this age")


def _is_between(age: float, low: float | None, high: float | None) -> bool:
    return (low is None or age >= low) and (high is None or age < high)


def _gate(package: ModelPackage, site: Site) -> ModelPackage | None:
    """Return the scope gate that looks first: the one released for the site, or else the newest that is here."""
    released = [one.package_sha256 for one in site.releases if one.package == package.gate]
    present = sorted(
        (gate for gate in site.packages.values() if gate.name == package.gate and gate.kind == "scope_gate"),
        key=lambda gate: (gate.sha256 in released, tuple(int(part) for part in gate.version.split("."))),
    )
    return present[-1] if present else None


def ended_run(instance_id: int, reason: Reason, detail: str, now: float) -> Run:
    """Return a run without a package that ends before anything is done."""
    return Run(
        instance_id=instance_id,
        package=None,
        package_version=None,
        package_sha256=None,
        recipe=None,
        outcome=outcome_of(reason),
        reason=reason,
        detail=detail,
        view=None,
        view_source=None,
        notes=(),
        decoder=None,
        provider=None,
        tensor_sha256=None,
        heat_map_sha256=None,
        shown=None,
        started_at=now,
        finished_at=now,
    )


def _no_rule(_header: InstanceHeader) -> None:
    """A recipe without header rules refuses nothing before its pixels are read."""


def _upper(words: Iterable[str]) -> set[str]:
    return {word.upper() for word in words}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def outcome_of(reason: Reason) -> str:
    """Return whether a run that ended for this reason failed or did not apply."""
    return "failed" if reason in FAILURES else "not_applicable"


def most_telling(runs: Iterable[Run]) -> Run | None:
    """Return the run whose reason says most, or None when none has a reason."""
    with_reason = [run for run in runs if run.reason is not None]
    return min(with_reason, key=lambda run: TELLING.index(run.reason or Reason.CANCELED), default=None)
