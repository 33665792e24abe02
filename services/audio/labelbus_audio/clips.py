"""Sound in memory: a clip read from whatever Studio holds, windows cut out of it, WAV made of them."""

import io
import struct
import wave
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from labelbus_runtime.errors import SampleRefused
from numpy.typing import NDArray

from labelbus_audio.windows import Window

Values = NDArray[np.float32]
MAX_VALUES: Final = 1 << 28
"""Of all channels together: 1 GiB in memory."""
_FULL_SCALE: Final = 32768
_UNKNOWN: Final = 0x7FFF_0000
"""From here on a WAV's length says that its writer did not know it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Mono sound: `values` from -1 to 1, `rate` in Hz."""

    values: Values
    rate: int

    def cut(self, window: Window, *, at_least: int) -> Values:
        """Return a window, with silence behind it where it is shorter than `at_least` samples."""
        values = self.values[window.start : window.end]
        missing = at_least - len(values)
        return np.pad(values, (0, missing)) if missing > 0 else values


def read_clip(data: bytes) -> Clip:
    """Read WAV (8 to 64 bits, whole numbers or float) or FLAC; channels are averaged.

    Raises `SampleRefused`.
    """
    if not data:
        raise SampleRefused(f"The clip has no bytes. {_UPLOAD}", code="audio-empty")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.frames * file.channels > MAX_VALUES:
                raise SampleRefused(
                    f"The clip is too long: {file.frames} samples in {file.channels} channels. Split it.",
                    code="audio-too-long",
                )
            frames, rate = file.frames, int(file.samplerate)
            rows = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        fact = f"The clip's bytes are no sound that can be read (WAV, FLAC): {_said(error)}."
        raise SampleRefused(f"{fact} {_UPLOAD}", code="audio-unreadable") from error
    if len(rows) < frames or _ends_early(data):
        fact = "The clip's file ends early: its header says that more sound follows."
        raise SampleRefused(f"{fact} {_UPLOAD}", code="audio-truncated")
    if not len(rows):
        raise SampleRefused(f"The clip holds no sound: its length is zero. {_UPLOAD}", code="audio-empty")
    mono = rows[:, 0] if rows.shape[1] == 1 else rows.mean(axis=1)
    return Clip(np.nan_to_num(mono, posinf=1.0, neginf=-1.0), rate)


def wav_of(values: Values, rate: int) -> bytes:
    """Return a 16-bit mono WAV, which every server reads. 16-bit sound comes out as it went in."""
    whole = np.rint(values * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return buffer.getvalue()


_UPLOAD = "Upload the sample again, or remove it from the job."


def _ends_early(data: bytes) -> bool:
    """Tell whether a WAV has less sound than it says. The decoder makes nothing of that."""
    at = 12 if data.startswith(b"RIFF") else len(data)
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data":
            return bool(size < _UNKNOWN and at + 8 + size > len(data))
        at += 8 + size + size % 2
    return False


def _said(error: Exception) -> str:
    """Return what the decoder said, without the address of the bytes."""
    text = str(error).rpartition(">: ")[2].removeprefix("Error : ")
    return " ".join(text.split())[-120:].rstrip(".")
