"""Sixty small files that become large: by inflating, unpacking, nesting, counting, or by what they declare."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.preprocessing.phantoms import element, item
from tests.trials.mutants.elements import ladder
from tests.trials.mutants.tree import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED

CR = "1.2.840.10008.5.1.4.1.1.1"
MIB = 1 << 20
_JPEG, _LOSSLESS, _JPEG_LS, _J2K, _RLE = (f"1.2.840.10008.1.2.{last}" for last in ("4.50", "4.70", "4.80", "4.90", "5"))


@dataclass(frozen=True, slots=True)
class Bomb:
    """One bomb: what is sent, by which entrance, and whether it may be kept."""

    name: str
    entrance: str
    """`stow`, `upload`, `gzip`, `dimse` (the data set alone), `decoder`."""
    content: bytes
    must_refuse: bool = True
    syntax: str = EXPLICIT


def bombs() -> Iterator[Bomb]:
    """Give every bomb, the same ones each time."""
    yield from _deflated()
    yield from _packed()
    yield from _structures()
    yield from _lengths()
    yield from _pixels()


HEAD = b"".join(
    (
        element(0x00080016, "UI", CR.encode() + b"\0"),
        element(0x00080018, "UI", b"1.2.3.4"),
        element(0x00080060, "CS", b"CR"),
        element(0x0020000D, "UI", b"1.2.3.5"),
        element(0x0020000E, "UI", b"1.2.3.6"),
    )
)


def part10(data_set: bytes, syntax: str = EXPLICIT) -> bytes:
    """Return a data set as a file."""
    meta = element(0x00020003, "UI", b"1.2.3.4\0") + element(
        0x00020010, "UI", syntax.encode() + b"\0" * (len(syntax) % 2)
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + data_set


def deflate(head: bytes, block: bytes = b"", times: int = 0) -> bytes:
    """Return a raw deflate stream of `head` and then a block many times, each packed by itself."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
    once = squeeze.compress(block) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return packed + once * times + squeeze.flush()


def _deflated() -> Iterator[Bomb]:
    pixels = element(0x7FE00010, "OW", b"12")
    for size in (32, 150, 500):
        places = {
            "in a value": (HEAD + element(0x00091010, "OB", b"", length=size * MIB), bytes(MIB)),
            "in the pixels": (HEAD + element(0x7FE00010, "OW", b"", length=size * MIB), bytes(MIB)),
            "behind the pixels": (HEAD + pixels + element(0x7FE11010, "OB", b"", length=size * MIB), bytes(MIB)),
            "in many values": (HEAD, element(0x00091010, "OB", bytes(MIB))),
        }
        for place, (head, block) in places.items():
            packed = deflate(head, block, size)
            yield Bomb(f"{size} MiB {place}, 1,000:1", "upload", part10(packed, DEFLATED))
            if size == 150:
                yield Bomb(f"{size} MiB {place}, C-STORE", "dimse", packed, syntax=DEFLATED)
    noise = bytes(range(256)) * 64
    for ratio in (10, 40):
        # As dense as real images can be: these may be kept.
        data = HEAD + element(0x00091010, "OB", noise + bytes(len(noise) * ratio // 10))
        yield Bomb(f"about {ratio}:1", "stow", part10(deflate(data), DEFLATED), must_refuse=False)
    endless = deflate(HEAD)[:-1] + b"\0" * MIB
    yield Bomb("a stream that never ends", "stow", part10(endless, DEFLATED), must_refuse=False)
    second = part10(deflate(HEAD) + deflate(b"", bytes(MIB), 200), DEFLATED)
    yield Bomb("a second stream behind", "stow", second, must_refuse=False)


def _packed() -> Iterator[Bomb]:
    whole = part10(HEAD + element(0x00091010, "OB", bytes(120 * MIB)))
    packed, honest = gzip.compress(whole, 9), _zip({"a.dcm": whole})
    yield Bomb("gzip as a file", "upload", packed)
    yield Bomb("gzip in gzip", "upload", gzip.compress(packed, 9))
    yield Bomb("gzip as content encoding", "gzip", packed)
    yield Bomb("zip, 1,000:1", "upload", honest)
    yield Bomb("zip of ten", "upload", _zip({f"{n}.dcm": whole[: 12 * MIB] for n in range(10)}))
    yield Bomb("zip in zip", "upload", _zip({"inner.zip": honest}))
    yield Bomb("zip of 20,001 files", "upload", _zip({f"{n}": b"" for n in range(20_001)}))
    size = struct.pack("<I", len(whole))
    yield Bomb("zip that says it is small", "upload", honest.replace(size, struct.pack("<I", 100)))
    yield Bomb("zip that says it is 4 GiB", "upload", honest.replace(size, b"\xfe\xff\xff\xff"))


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _structures() -> Iterator[Bomb]:
    for how in ("delimited", "never closed", "with lengths"):
        for vr in (b"SQ", b"UN"):
            is_open = how != "with lengths"
            depth = 100_000 if is_open else 2_000
            rungs = ladder(depth, vr, how)
            content = HEAD + struct.pack("<HH2sxxI", 0x21, 0x1010, vr, UNDEFINED if is_open else len(rungs)) + rungs
            # A private UN with a length is bytes to us: nobody looks inside, so it may be as deep as it likes.
            may_keep = not is_open and vr == b"UN"
            yield Bomb(f"{depth:,} deep, {how}, {vr.decode()}", "stow", part10(content), must_refuse=not may_keep)
    opened = struct.pack("<HHI", 9, 0x1010, UNDEFINED)
    yield Bomb("100,000 deep, implicit", "dimse", opened + ladder(100_000, b"", "never closed"), syntax=IMPLICIT)
    yield Bomb("1,000,000 items", "upload", part10(HEAD + element(0x00091010, "SQ", item(b"") * 1_000_000)))
    yield Bomb("1,000,000 elements", "upload", part10(HEAD + element(0x00211010, "LO", b"") * 1_000_000))
    fragments = HEAD + element(0x7FE00010, "OB", item(b"") * 1_000_000, length=UNDEFINED)
    yield Bomb("1,000,000 fragments", "upload", part10(fragments, _J2K))
    yield Bomb("1,000,000 delimiters", "stow", part10(HEAD + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) * 1_000_000))
    behind = HEAD + element(0x7FE00010, "OW", b"12") + element(0x7FE11010, "SQ", item(b"") * 1_000_000)
    yield Bomb("1,000,000 items behind the pixels", "upload", part10(behind))
    yield Bomb("1,000,000 items, C-STORE", "dimse", HEAD + element(0x00211010, "SQ", item(b"") * 1_000_000))


def _lengths() -> Iterator[Bomb]:
    for vr in ("OB", "UT", "SQ", "UN"):
        yield Bomb(f"4 GiB of {vr}", "stow", part10(HEAD + element(0x00211010, vr, b"12", length=0xFFFFFFFE)))
    yield Bomb("4 GiB of pixels", "upload", part10(HEAD + element(0x7FE00010, "OW", b"12", length=0xFFFFFFFE)))
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFE)
    yield Bomb(
        "a fragment of 4 GiB", "upload", part10(HEAD + element(0x7FE00010, "OB", fragment, length=UNDEFINED), _J2K)
    )
    big = struct.pack(">HH2sHIHH2sxxI", 8, 0x16, b"UI", 4, 0x312E3200, 0x21, 0x1010, b"OB", 0xFFFFFFFE)
    yield Bomb("4 GiB, big endian", "dimse", big, syntax=BIG_ENDIAN)
    meta = bytes(128) + b"DICM" + element(0x00020102, "OB", b"12", length=0xFFFFFFFE)
    yield Bomb("4 GiB of group 2", "upload", meta + bytes(MIB))


def _pixels() -> Iterator[Bomb]:
    start = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0" + bytes(40) + b"\xff\xd9"
    siz = struct.pack(">8I", 65_535, 65_535, 0, 0, 65_535, 65_535, 0, 0)
    streams = {
        EXPLICIT: None,
        _JPEG: start,
        _LOSSLESS: start.replace(b"\xff\xc0", b"\xff\xc3"),
        _JPEG_LS: start.replace(b"\xff\xc0", b"\xff\xf7"),
        _J2K: b"\xff\x4f\xff\x51\0\x29\0\0" + siz + b"\0\x01\x07\x01\x01" + bytes(40) + b"\xff\xd9",
        _RLE: struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 1_000,
    }
    for syntax, stream in streams.items():
        for samples, bits, frames in ((1, 8, b"1 "), (1, 16, b"1000000000"), (3, 16, b"1 ")):
            if samples == 3 and syntax not in (EXPLICIT, _J2K):
                continue
            yield Bomb(
                f"65,535 x 65,535 x {samples} x {bits}, {frames.decode()} frames, {syntax[18:]}",
                "decoder",
                part10(HEAD + _description(samples, bits, frames) + _pixel_data(stream), syntax),
            )
        if stream is not None:
            yield Bomb(
                f"65,535 x 65,535 under a header of 512 x 512, {syntax[18:]}",
                "decoder",
                part10(HEAD + _description(1, 8, b"1 ", side=512) + _pixel_data(stream), syntax),
            )


def _description(samples: int, bits: int, frames: bytes, *, side: int = 65_535) -> bytes:
    def short(tag: int, value: int) -> bytes:
        return element(tag, "US", struct.pack("<H", value))

    return b"".join(
        (
            short(0x00280002, samples),
            element(0x00280004, "CS", b"RGB " if samples == 3 else b"MONOCHROME2 "),
            element(0x00280008, "IS", frames),
            short(0x00280010, side),
            short(0x00280011, side),
            short(0x00280100, bits),
            short(0x00280101, bits),
            short(0x00280102, bits - 1),
            short(0x00280103, 0),
        )
    )


def _pixel_data(stream: bytes | None) -> bytes:
    if stream is None:
        return element(0x7FE00010, "OW", bytes(1_024))
    padded = stream + b"\0" * (len(stream) % 2)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(0x7FE00010, "OB", item(b"") + item(padded) + end, length=UNDEFINED)
