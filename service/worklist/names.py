"""Findings by the names that people read, from the packages' own texts."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from models.package import ModelPackage


class FindingName(BaseModel):
    """One finding of one package in every language of the service."""

    package: str
    finding: str
    ko: str
    en: str
    vi: str
    ru: str


def finding_names(packages: Iterable[ModelPackage]) -> list[FindingName]:
    """Return the display names of every output of these packages."""
    return [
        FindingName(
            package=package.name,
            finding=output.finding,
            ko=output.names.ko,
            en=output.names.en,
            vi=output.names.vi,
            ru=output.names.ru,
        )
        for package in packages
        for output in package.outputs
    ]
