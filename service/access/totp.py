"""One-time codes beside the password (RFC 6238): a code counts once, within half a minute before and after."""

from __future__ import annotations

import hmac
import io

import pyotp
import segno

STEP_S = 30
ISSUER = "Pandok"


def new_secret() -> str:
    """Return a fresh secret: 160 random bits."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, login: str) -> str:
    """Return the address that a phone's program takes the secret from."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)


def qr_svg(uri: str) -> str:
    """Return the address as a QR code, dark on white whatever the page's colours are."""
    out = io.BytesIO()
    segno.make(uri, error="m").save(out, kind="svg", scale=5, border=4, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue().decode()


def step_of(secret: str, code: str, *, now: float, after: int | None) -> int | None:
    """Return the time step whose code this is, when that is near now and later than the last one used."""
    current = int(now // STEP_S)
    typed = code.replace(" ", "")
    for step in (current - 1, current, current + 1):
        is_it = hmac.compare_digest(pyotp.TOTP(secret).generate_otp(step).encode(), typed.encode())
        if is_it and (after is None or step > after):
            return step
    return None
