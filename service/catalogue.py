"""What a reader may say was found: codes, names, where and how much; read from one table of reviewed words."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Language = Literal["ko", "en", "vi", "ru"]
LANGUAGES: tuple[Language, ...] = ("ko", "en", "vi", "ru")
Texts = Mapping[Language, str]
"""The same words in every language."""

PHRASES = Path(__file__).parent / "phrases"
SIDES = ("right", "left", "both")
ZONES = ("upper", "middle", "lower", "apical", "perihilar", "basal", "retrocardiac")
SEVERITIES = ("mild", "moderate", "severe")
CHANGES = ("new", "increased", "decreased", "unchanged", "resolved")
REGIONS = ("lungs", "pleura", "heart", "mediastinum", "diaphragm", "bones", "soft_tissue", "devices", "other")

FINDING_CODES = frozenset(
    {
        "any_finding", "aortic_aneurysm", "aortic_calcification", "aortic_tortuosity", "apical_cap", "atelectasis",
        "bone_lesion", "bronchial_wall_thickening", "bronchiectasis", "cardiomegaly", "cavity", "central_line",
        "chest_tube", "clavicle_fracture", "congestion", "consolidation", "costophrenic_blunting",
        "degenerative_spine", "diaphragm_elevation", "edema", "effusion", "emphysema", "endotracheal_tube",
        "feeding_tube", "fibrosis", "foreign_body", "free_air", "granuloma", "ground_glass", "hernia",
        "hilar_enlargement", "hyperinflation", "infiltration", "interstitial_pattern", "malpositioned_device", "mass",
        "mediastinal_mass", "mediastinal_shift", "mediastinal_widening", "miliary_pattern", "nodule", "opacity",
        "other_finding", "pacemaker", "pericardial_effusion", "pleural_calcification", "pleural_thickening",
        "pneumomediastinum", "pneumonia", "pneumonia_like_opacity", "pneumonia_like_opacity_child", "pneumothorax",
        "postoperative_change", "rib_fracture", "rib_fracture_healed", "scoliosis", "subcutaneous_emphysema",
        "tuberculosis", "tuberculosis_like_change", "tuberculosis_sequelae", "vertebral_fracture",
    }
)  # fmt: skip
"""Every code of the table; a verdict or a report with another code is refused. Packages use the same codes."""


@dataclass(frozen=True, slots=True)
class FindingEntry:
    """One finding that a report can name."""

    code: str
    names: Texts
    """As it stands in a list."""
    nouns: Mapping[Language, Mapping[str, Any]]
    """As it stands in a sentence: the forms that each language's grammar asks for."""
    region: str
    sides: Literal["on", "toward"] | None
    """Whether it has a side that it is on, one that it moved to, or none."""
    has_zones: bool
    is_measurable: bool
    is_countable: bool
    severity: Literal["amount", "degree"] | None
    critical: int | None
    """The ACR category (STANDARDS 4.4) that is proposed; a radiologist decides."""
    critical_severe: int | None
    is_reportable: bool
    """A sentence can name it; `any_finding` is a model's word and no finding of a report."""
    departments: tuple[str, ...]
    recommendations: tuple[str, ...]
    sct: str | None
    """SNOMED CT, where it is confirmed (STANDARDS 3.6)."""

    def proposed_category(self, severity: str | None) -> int | None:
        """Return the ACR category that is proposed for this finding at this severity."""
        if severity == "severe" and self.critical_severe is not None:
            return self.critical_severe
        return self.critical

    @property
    def allowed_sides(self) -> tuple[str, ...]:
        """The sides that it may have."""
        return {"on": SIDES, "toward": ("right", "left"), None: ()}[self.sides]


@functools.cache
def findings() -> Mapping[str, FindingEntry]:
    """Return the table of findings by code."""
    return {code: _entry(code, row) for code, row in table("findings")["finding"].items()}


@functools.cache
def table(name: str) -> dict[str, Any]:
    """Return one of the reviewed tables: `findings`, `words` or `report`."""
    with (PHRASES / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


@functools.cache
def phrases_version() -> str:
    """Return the version of the words, as a signed report keeps it."""
    return "/".join(str(table(name)["version"]) for name in ("findings", "words", "report"))


def quality_reasons() -> frozenset[str]:
    """Return the codes of why an image is not good."""
    return frozenset(table("words")["quality_reason"])


def _entry(code: str, row: Mapping[str, Any]) -> FindingEntry:
    return FindingEntry(
        code=code,
        names={language: _name(row[language]) for language in LANGUAGES},
        nouns={language: row[language] for language in LANGUAGES},
        region=row["region"],
        sides=row.get("sides"),
        has_zones=row.get("zones", False),
        is_measurable=row.get("measurable", False),
        is_countable=row.get("countable", False),
        severity=row.get("severity"),
        critical=row.get("critical"),
        critical_severe=row.get("critical_severe"),
        is_reportable=row.get("reportable", True),
        departments=tuple(row["departments"]),
        recommendations=tuple(row["recommendations"]),
        sct=row.get("sct"),
    )


def _name(forms: Mapping[str, Any]) -> str:
    text = str(forms.get("name") or forms.get("one") or forms["nom"]).replace("{side}", "")
    return text[0].upper() + text[1:]
