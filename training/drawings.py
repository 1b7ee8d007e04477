"""Made pictures: limbs, trunks and rings as a radiograph would show them, documents, shapes and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Grey = NDArray[np.uint8]
Random = np.random.Generator

SIDE = 256


def drawn(rng: Random) -> Grey:
    """Return a made picture: limbs, trunks and breasts as a radiograph would show them, text, noise, shapes, ramps."""
    kinds: Sequence[Callable[[Random], Grey]] = (
        _limb, _limb, _limb, _body, _body, _body, _breast, _document, _document, _noise, _shapes, _ramp,
    )  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))](rng)


def _field(rng: Random, *, smooth: float) -> NDArray[np.float32]:
    """Cloudy noise, 0..1, (SIDE, SIDE)."""
    coarse = max(2, int(SIDE / smooth))
    grid = Image.fromarray((rng.random((coarse, coarse)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32) / np.float32(255)


def _capsule(
    rng: Random, centre: tuple[float, float], angle: float, length: float, width: float
) -> NDArray[np.float32]:
    """Thickness, 0..1, that rays pass in a rod with a round section, slightly bent."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    along = (columns - centre[0]) * np.cos(angle) + (rows - centre[1]) * np.sin(angle)
    across = -(columns - centre[0]) * np.sin(angle) + (rows - centre[1]) * np.cos(angle)
    across = across + rng.uniform(-0.1, 0.1) * along**2 / SIDE
    flare = width * (1 + rng.uniform(0.0, 0.6) * (along / length) ** 4)
    inside = 1 - (across / flare) ** 2 - np.clip(np.abs(along) - length, 0, None) ** 2 / width**2
    thickness: NDArray[np.float32] = np.sqrt(np.clip(inside, 0, None)).astype(np.float32)
    return thickness


def _ellipse(rng: Random, *, least: float, most: float, middle: float = 0.3) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    centre = rng.uniform(0.5 - middle, 0.5 + middle, size=2)
    radii = rng.uniform(least, most, size=2)
    angle = rng.uniform(0, np.pi)
    along = (columns - centre[0]) * np.cos(angle) + (rows - centre[1]) * np.sin(angle)
    across = -(columns - centre[0]) * np.sin(angle) + (rows - centre[1]) * np.cos(angle)
    inside = 1 - (along / radii[0]) ** 2 - (across / radii[1]) ** 2
    thickness: NDArray[np.float32] = np.sqrt(np.clip(inside, 0, None)).astype(np.float32)
    return thickness


def _film(dense: NDArray[np.float32], rng: Random) -> Grey:
    """Turn path lengths into a picture: grain, a curve, sometimes a collimated border."""
    picture = dense / max(float(dense.max()), 1e-3)
    picture = picture ** rng.uniform(0.6, 1.4) + rng.normal(0, rng.uniform(0, 0.04), size=picture.shape)
    picture = np.clip(picture + rng.uniform(0, 0.15), 0, 1)
    grey = np.asarray(
        Image.fromarray((picture * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.5))))
    )
    if rng.random() < 0.4:
        grey = np.pad(grey, int(rng.integers(5, 40)), constant_values=int(rng.choice([0, 0, 255])))
    cut = int(grey.shape[1] * rng.uniform(0.55, 1.0))
    return grey[:, :cut] if rng.random() < 0.5 else grey[:cut]


def _limb(rng: Random) -> Grey:
    """Soft tissue around one to three long bones, whole or several side by side: arms, legs, hands."""
    dense = np.zeros((SIDE, SIDE), np.float32)
    angle = rng.choice([np.pi / 2, 0.0, rng.uniform(0, np.pi)]) + rng.normal(0, 0.15)
    limbs = int(rng.choice([1, 1, 2, 5]))
    for limb in range(limbs):
        offset = (limb - (limbs - 1) / 2) * SIDE / (limbs + 0.5)
        centre = (
            SIDE / 2 - np.sin(angle) * offset + rng.normal(0, 8),
            SIDE / 2 + np.cos(angle) * offset + rng.normal(0, 8),
        )
        width = SIDE * rng.uniform(0.12, 0.3) / limbs**0.8
        dense += _capsule(rng, centre, angle, SIDE * rng.uniform(0.35, 0.8), width) * rng.uniform(0.4, 1)
        bones = int(rng.integers(1, 4))
        for bone in range(bones):
            shift = (bone - (bones - 1) / 2) * width / bones * 1.2
            at = (centre[0] - np.sin(angle) * shift, centre[1] + np.cos(angle) * shift + rng.normal(0, SIDE * 0.2))
            thick = width * rng.uniform(0.15, 0.45)
            length = SIDE * rng.uniform(0.15, 0.5)
            bone_angle = angle + rng.normal(0, 0.08)
            dense += _capsule(rng, at, bone_angle, length, thick) * rng.uniform(0.5, 1.4)
            dense -= _capsule(rng, at, bone_angle, length, thick * 0.55) * rng.uniform(0.1, 0.6)
    return _film(np.clip(dense, 0, None) * (0.8 + 0.4 * _field(rng, smooth=12)), rng)


def _body(rng: Random) -> Grey:
    """A trunk or head at odds with a chest: one large shape, bright bands and discs, dark holes anywhere."""
    dense = _ellipse(rng, least=0.3, most=0.7, middle=0.15) * rng.uniform(0.6, 1.2) + 0.01
    for _ in range(int(rng.integers(1, 5))):
        dense += _ellipse(rng, least=0.05, most=0.25) * rng.uniform(0.1, 0.8)
    for _ in range(int(rng.integers(0, 4))):
        dense -= _ellipse(rng, least=0.05, most=0.3) * rng.uniform(0.1, 0.7)
    centre, angle = tuple(rng.uniform(0.15, 0.85, size=2) * SIDE), float(rng.uniform(0, np.pi))
    for _ in range(int(rng.integers(0, 10))):
        at = (centre[0] + rng.normal(0, SIDE * 0.3), centre[1] + rng.normal(0, SIDE * 0.3))
        tilt = angle + rng.normal(0, 0.3)
        dense += _capsule(rng, at, tilt, SIDE * rng.uniform(0.1, 0.6), SIDE * rng.uniform(0.01, 0.06)) * rng.uniform(
            0.1, 0.6
        )
    return _film(np.clip(dense, 0, None) * (0.7 + 0.6 * _field(rng, smooth=20)), rng)


def _breast(rng: Random) -> Grey:
    """Half an ellipse at one edge, cloudy inside, black around it."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    inside = 1 - (columns / rng.uniform(0.4, 0.9)) ** 2 - ((rows - rng.uniform(0.4, 0.6)) / rng.uniform(0.35, 0.6)) ** 2
    tissue = _field(rng, smooth=30) * 0.6 + _field(rng, smooth=10) * 0.4
    dense = np.sqrt(np.clip(inside, 0, None)) * (0.3 + tissue * rng.uniform(0.4, 1.5))
    return _film((dense if rng.random() < 0.5 else dense[:, ::-1]).astype(np.float32), rng)


def drawn_rings(rng: Random) -> Grey:
    """Return a made skull, jaw or pelvis: bright rims around grey. The gate never learns from these."""
    dense = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        outer = _ellipse(rng, least=0.12, most=0.45)
        dense += np.clip(outer * 4, 0, 1) * rng.uniform(0.1, 0.4) + np.where((outer > 0) & (outer < 0.45), 0.6, 0)
    teeth = int(rng.integers(0, 16))
    for tooth in range(teeth):
        at = (SIDE * (tooth + 1) / (teeth + 1), SIDE / 2 + rng.normal(0, 6))
        dense += _capsule(rng, at, np.pi / 2 + rng.normal(0, 0.1), SIDE * 0.08, SIDE * 0.02) * 0.7
    return _film(dense * (0.6 + 0.8 * _field(rng, smooth=16)), rng)


def _document(rng: Random) -> Grey:
    dark = rng.random() < 0.3
    picture = Image.new("L", (SIDE, int(SIDE * rng.uniform(0.7, 1.4))), 0 if dark else 255)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=float(rng.uniform(8, 22)))
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:-/      "
    at = float(rng.uniform(4, 30))
    while at < picture.height:
        words = "".join(letters[int(index)] for index in rng.integers(len(letters), size=int(rng.integers(5, 50))))
        pen.text((float(rng.uniform(2, 30)), at), words, fill=255 if dark else 0, font=font)
        at += float(rng.uniform(12, 34))
    for _ in range(int(rng.integers(0, 5))):
        pen.rectangle(sorted_box(rng, picture.width, picture.height), outline=128)
    return np.asarray(picture)


def sorted_box(rng: Random, width: int, height: int) -> tuple[float, float, float, float]:
    """Return a random box (left, top, right, bottom) inside a picture."""
    left, right = sorted(rng.uniform(0, width, size=2))
    top, bottom = sorted(rng.uniform(0, height, size=2))
    return float(left), float(top), float(right), float(bottom)


def _noise(rng: Random) -> Grey:
    if rng.random() < 0.3:
        return rng.integers(0, 256, size=(SIDE, SIDE), dtype=np.uint8)
    field = _field(rng, smooth=float(rng.choice([2, 4, 8, 20, 60, 120])))
    return (np.clip(field + rng.normal(0, 0.05, size=field.shape), 0, 1) * 255).astype(np.uint8)


def _shapes(rng: Random) -> Grey:
    picture = Image.new("L", (SIDE, SIDE), int(rng.integers(256)))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 25))):
        box, grey = sorted_box(rng, SIDE, SIDE), int(rng.integers(256))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=grey)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.choice([0, 0, 1, 4, 12])))))


def _ramp(rng: Random) -> Grey:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    ramp = columns * np.cos(angle) + rows * np.sin(angle)
    if rng.random() < 0.5:
        ramp = -np.hypot(columns, rows) if rng.random() < 0.5 else np.hypot(columns, rows)
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    grainy = np.clip(ramp + rng.normal(0, 0.02, size=ramp.shape), 0, 1)
    grey: Grey = (grainy * 255).astype(np.uint8)
    return grey
