"""Sound clips of tones, noise and silence, with the truth of which is where; PCM WAV read and written."""

import io
import random
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SOUNDS = ("Sine wave", "White noise", "Silence")  # names of AudioSet


@dataclass(frozen=True, slots=True)
class Segment:
    """What sounds from `start` to `end` (sample indexes, end exclusive)."""

    label: str
    start: int
    end: int


def place_segments(rng: random.Random, length: int, pieces: int) -> list[Segment]:
    """Cut a clip of `length` indexes into equal pieces of unlike neighbours."""
    edges = [length * i // pieces for i in range(pieces + 1)]
    labels: list[str] = []
    for _ in range(pieces):
        labels.append(rng.choice([s for s in SOUNDS if not labels or s != labels[-1]]))
    return [Segment(name, edges[i], edges[i + 1]) for i, name in enumerate(labels)]


def render(seed: int, rate: int, channels: int, segments: list[Segment]) -> NDArray[np.int16]:
    """Sound of shape (indexes, channels), 16-bit."""
    rng = np.random.default_rng(seed)
    parts = [_sound(rng, s.label, s.end - s.start, rate) for s in segments]
    mono = (np.concatenate(parts) * 32767).astype(np.int16)
    return np.repeat(mono[:, None], channels, axis=1)


def wav(values: NDArray[np.int16], rate: int) -> bytes:
    """A 16-bit PCM WAV of `values` (indexes, channels)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    return out.getvalue()


def read_wav(data: bytes) -> tuple[NDArray[np.int16], int]:
    """Values (indexes, channels) and rate of a 16-bit PCM WAV. Raises ValueError for any other file."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"The WAV has {file.getsampwidth() * 8} bits a value, not 16.")
            frames = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
            if len(frames) < file.getnframes() * file.getnchannels():
                raise ValueError("The WAV ends early.")
            return frames.reshape(-1, file.getnchannels()), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"The file is no PCM WAV: {error}.") from error


def _sound(rng: np.random.Generator, label: str, length: int, rate: int) -> NDArray[np.float64]:
    if label == "Sine wave":
        frequency = rng.uniform(220, min(1760, rate / 2.5))
        return 0.5 * np.sin(2 * np.pi * frequency * np.arange(length) / rate)
    if label == "White noise":
        return np.clip(rng.normal(0, 0.15, length), -1, 1)
    return np.zeros(length)
