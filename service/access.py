"""Who is calling, and which sites they may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: a signed-in person or a site's key."""

    name: str
    """`session` or the key's prefix: for logs and problem rows."""
    site_id: int | None
    """The only site whose rows exist for this caller; None is a person of the installation, who sees all."""

    def may_see(self, site_id: int) -> bool:
        """Tell whether rows of the site exist for this caller."""
        return self.site_id is None or self.site_id == site_id
