"""Samples that go wrong, each built small: what labelers must survive."""

import io
import struct
import zlib
from typing import Literal

import numpy as np
from PIL import Image

from labelbus_simulator import clips
from labelbus_simulator.content import Content, Stored, scene

Damage = Literal[
    "empty", "truncated", "bomb", "tiny", "wide", "not-an-image",
    "wav-float", "wav-24bit", "wav-empty", "wav-truncated", "not-a-wav",
]  # fmt: skip
DAMAGES: tuple[Damage, ...] = Damage.__args__  # type: ignore[attr-defined]  # typing keeps the arguments there


def damaged(damage: Damage, seed: int = 0) -> Content:
    """The content of one bad sample."""
    if damage.startswith("wav") or damage == "not-a-wav":
        return Stored(_sound(damage), "audio", "audio/wav")
    return Stored(
        _picture(damage, seed), "image", "image/png" if damage in ("bomb", "wide") else "image/jpeg"
    )


def _picture(damage: str, seed: int) -> bytes:
    if damage == "empty":
        return b""
    if damage == "not-an-image":
        return b"<html><body>Bad gateway</body></html>"
    if damage == "bomb":
        return _png_header(60_000, 60_000)
    if damage == "wide":
        return _encode(Image.new("RGB", (20_000, 20), (40, 60, 80)), "png")
    if damage == "tiny":
        return _encode(Image.new("RGB", (1, 1), (220, 40, 40)), "jpeg")
    whole = scene(seed, (320, 240), 2).data()
    return whole[: len(whole) // 2]


def _sound(damage: str) -> bytes:
    tone = (np.sin(np.arange(16_000) * 0.17) * 0.5).astype(np.float32)
    if damage == "wav-float":
        return _riff(3, 32, tone.tobytes())
    if damage == "wav-24bit":
        wide = (tone * 8_388_607).astype("<i4")
        return _riff(1, 24, wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    if damage == "not-a-wav":
        return b"ID3 is no RIFF"
    whole = clips.wav((tone * 32_767).astype(np.int16)[:, None], 16_000)
    return whole[:44] if damage == "wav-empty" else whole[: len(whole) // 2]


def _encode(image: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that announces a huge picture and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def _riff(code: int, bits: int, body: bytes, rate: int = 16_000) -> bytes:
    block = bits // 8
    form = struct.pack("<HHIIHH", code, 1, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
