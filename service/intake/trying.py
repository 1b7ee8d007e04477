"""What a site does with an image where no rule says otherwise, for the rules' tester."""

from __future__ import annotations

from sqlalchemy import Connection

from service import site_records
from service.intake.studies import quiet_time_s
from service.routing.tester import WithoutRules
from service.settings import Settings
from service.sites import Site


def default_for(rx: Connection, site: Site, modality: str | None, settings: Settings) -> WithoutRules:
    """Return what site and settings say of such an image."""
    return WithoutRules(
        packages=[one.package for one in site_records.list_releases(rx) if one.site == site.code],
        reading_policy=site.policy.reading_policy,
        quiet_s=quiet_time_s(modality, site.policy.to_json(), settings.quiet_s),
        partial_after_s=settings.partial_after_s,
        due_minutes=settings.due_minutes,
    )
