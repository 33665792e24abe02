"""Datasets: lists of samples to be, generated from a seed or read from a folder."""

import io
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from labelbus_simulator import clips
from labelbus_simulator.clips import Segment
from labelbus_simulator.content import Clip, Content, Kind, Orientation, Stored, pick, scene
from labelbus_simulator.damage import Damage, damaged
from labelbus_simulator.documents import Doc
from labelbus_simulator.shapes import Objects, Shape

Truth = list[Shape] | list[Segment]
SIZES = ((320, 240), (256, 256), (240, 320), (400, 300), (384, 288))
_MEDIA: dict[str, tuple[Kind, str]] = {
    ".jpg": ("image", "image/jpeg"),
    ".jpeg": ("image", "image/jpeg"),
    ".png": ("image", "image/png"),
    ".wav": ("audio", "audio/wav"),
    ".mp4": ("video", "video/mp4"),
}


@dataclass(slots=True)
class NewSample:
    """A sample before Studio gave it an id. `fields` are attributes of `Sample`."""

    filename: str
    content: Content
    truth: Truth = field(default_factory=list)
    fields: Doc = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples in the order in which they are added; `+` joins two."""

    samples: Sequence[NewSample]

    def __iter__(self) -> Iterator[NewSample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __add__(self, other: "Dataset") -> "Dataset":
        return Dataset([*self.samples, *other.samples])

    @classmethod
    def images(
        cls,
        count: int,
        *,
        seed: int = 0,
        distinct: int | None = None,
        sizes: Sequence[tuple[int, int]] = SIZES,
        formats: Sequence[Literal["jpeg", "png"]] = ("jpeg", "png"),
        objects: Objects | tuple[int, int] = (1, 4),
        rotated: float = 0.0,
        boxes: Literal["none", "truth"] = "none",
        **fields: object,
    ) -> "Dataset":
        """Pictures of shapes; `rotated` is the share with EXIF turns.

        `distinct` pictures are used over and over. `objects`: how many, a range (least, most), or exactly
        these (colour, shape) pairs. `fields` are attributes of `Sample`.
        """
        rng = random.Random(seed)  # noqa: S311  # pictures, not secrets
        pool = []
        for i in range(min(count, distinct or count)):
            form = formats[i % len(formats)]
            turn: Orientation = rng.choice((3, 6, 8)) if rng.random() < rotated else 1
            size, number = pick(rng, sizes), _how_many(rng, objects)
            pool.append(scene(seed * 1_000_003 + i, size, number, format=form, orientation=turn))
        made = []
        for i in range(count):
            picture = pool[i % len(pool)]
            found = [shape.box() for shape in picture.shapes] if boxes == "truth" else []
            suffix = "jpg" if picture.format == "jpeg" else "png"
            made.append(
                NewSample(
                    f"scene-{i:06d}.{suffix}", picture, picture.shapes, {"boxes": found, **_copy(fields)}
                )
            )
        return cls(made)

    @classmethod
    def audio(
        cls,
        count: int,
        *,
        seed: int = 0,
        distinct: int | None = None,
        rate: int = 16_000,
        seconds: float = 2.0,
        pieces: int = 1,
        channels: int = 1,
        **fields: object,
    ) -> "Dataset":
        """16-bit clips of `pieces` sounds each."""
        length = round(rate * seconds)
        pool = [
            Clip(seed * 1_000_003 + i, rate, length, pieces, channels)
            for i in range(min(count, distinct or count))
        ]
        made = []
        for i in range(count):
            clip = pool[i % len(pool)]
            made.append(NewSample(f"clip-{i:06d}.wav", clip, clip.segments, _copy(fields)))
        return cls(made)

    @classmethod
    def damaged(cls, *kinds: Damage, seed: int = 0) -> "Dataset":
        """One bad sample of each kind."""
        made = []
        for kind in kinds:
            content = damaged(kind, seed)
            suffix = "wav" if content.kind == "audio" else content.media_type.removeprefix("image/")
            made.append(NewSample(f"{kind}.{suffix}", content, [], _measure(content)))
        return cls(made)

    @classmethod
    def folder(cls, path: Path) -> "Dataset":
        """Pictures, WAVs and videos below `path`, labeled by its info.labels or bounding_boxes.labels."""
        described = _described(path)
        made = []
        for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in _MEDIA):
            fields = described.get(file.relative_to(path).as_posix()) or described.get(file.name) or {}
            made.append(uploaded(file.name, file.read_bytes(), **fields))
        return cls(made)


def uploaded(filename: str, data: bytes, **fields: object) -> NewSample:
    """A sample of given bytes; its kind follows from the file's name."""
    kind, media = _MEDIA.get(Path(filename).suffix.lower(), ("table", "application/octet-stream"))
    content = Stored(data, kind, media)
    return NewSample(filename, content, [], {**_measure(content), **fields})


def _how_many(rng: random.Random, objects: Objects | tuple[int, int]) -> Objects:
    if isinstance(objects, tuple) and len(objects) == 2 and isinstance(objects[0], int):
        return rng.randint(objects[0], int(str(objects[1])))
    return objects


def _copy(fields: dict[str, object]) -> Doc:
    """Fields of its own for each sample: one sample's metadata must not be another's."""
    return {key: value.copy() if isinstance(value, dict | list) else value for key, value in fields.items()}


def _measure(content: Content) -> Doc:
    """Dimensions as far as they can be read; damaged data has those that its header claims."""
    if content.kind == "audio":
        try:
            values, rate = clips.read_wav(content.data())
        except ValueError:
            return {"values_count": 16_000, "frequency": 16_000.0}
        return {"values_count": len(values), "frequency": float(rate), "channels": values.shape[1]}
    if content.kind != "image":
        return {}
    try:
        with Image.open(io.BytesIO(content.data())) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
            return {"size": (height, width) if turned else (width, height)}
    except (OSError, Image.DecompressionBombError):
        return {"size": (60_000, 60_000) if b"IHDR" in content.data()[:24] else (320, 240)}


def _described(path: Path) -> dict[str, Doc]:
    info, boxes = path / "info.labels", path / "bounding_boxes.labels"
    if info.exists():
        return {item["path"]: _info_fields(item) for item in json.loads(info.read_text())["files"]}
    if boxes.exists():
        return {
            name: {"boxes": found} for name, found in json.loads(boxes.read_text())["boundingBoxes"].items()
        }
    return {}


def _info_fields(item: Doc) -> Doc:
    label = item.get("label") or {}
    category = item.get("category", "training")
    return {
        "label": label.get("label", "") if isinstance(label, dict) else str(label),
        "category": "training" if category == "split" else category,
        "metadata": item.get("metadata") or {},
        "boxes": item.get("boundingBoxes") or [],
    }
