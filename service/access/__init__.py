"""Who is calling, which sites they may see, and what they may do there."""

from service.access.callers import Caller, caller, confirmed_until, may, require_confirmed
from service.access.identity import Access
from service.access.secrets import (
    SIGN_IN_LINK_S,
    NewKey,
    fingerprint,
    new_key,
    new_sign_in_link,
    public_address,
)

__all__ = [
    "SIGN_IN_LINK_S",
    "Access",
    "Caller",
    "NewKey",
    "caller",
    "confirmed_until",
    "fingerprint",
    "may",
    "new_key",
    "new_sign_in_link",
    "public_address",
    "require_confirmed",
]
