"""Reading sound of every kind, and cutting it in memory."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from labelbus_audio.clips import Clip, Values, read_clip, wav_of
from labelbus_audio.windows import Window
from labelbus_runtime.errors import SampleRefused

Sound = Callable[..., Values]
FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
]


def encoded(values: np.ndarray, rate: int, kind: str, subtype: str) -> bytes:
    """Encode sound with libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, values, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_every_format_is_read(sound: Sound, kind: str, subtype: str, rate: int) -> None:
    """8 to 64 bits, float, FLAC, 8 to 192 kHz."""
    values = sound(0.05, rate)
    clip = read_clip(encoded(values, rate, kind, subtype))
    assert clip.rate == rate
    np.testing.assert_allclose(clip.values, values, atol=0.01 if subtype == "PCM_U8" else 1e-4)


def test_stereo_becomes_the_mean_of_its_channels(sound: Sound) -> None:
    """What the model hears is mono."""
    left, right = sound(0.1), sound(0.1, seed=1)
    clip = read_clip(encoded(np.stack([left, right], 1), 16_000, "WAV", "FLOAT"))
    np.testing.assert_allclose(clip.values, (left + right) / 2, atol=1e-6)


def test_sound_of_16_bits_goes_out_as_it_came_in() -> None:
    """A window of the WAV that is sent holds the very values of the clip, extremes included."""
    whole = np.array([-32768, -32767, -1, 0, 1, 32766, 32767, 5], dtype=np.int16)
    clip = read_clip(encoded(whole, 16_000, "WAV", "PCM_16"))
    sent = wav_of(clip.cut(Window(1, 8), at_least=9), clip.rate)
    back, rate = soundfile.read(io.BytesIO(sent), dtype="int16")
    assert rate == 16_000
    assert back.tolist() == [*whole[1:].tolist(), 0, 0]


def test_what_is_not_finite_is_silenced() -> None:
    """Float files may hold NaN and infinities."""
    values = np.array([0.5, np.nan, np.inf, -np.inf], dtype=np.float32)
    assert read_clip(encoded(values, 8_000, "WAV", "FLOAT")).values.tolist() == [0.5, 0, 1, -1]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "audio-empty"),
        (b"no sound at all", "audio-unreadable"),
        (wav_of(np.zeros(0, np.float32), 16_000), "audio-empty"),
        (wav_of(np.zeros(100, np.float32), 16_000)[:20], "audio-unreadable"),
    ],
)
def test_what_holds_no_sound_is_refused(data: bytes, code: str) -> None:
    """Each is refused with its reason and what to do."""
    with pytest.raises(SampleRefused, match="remove it from the job") as caught:
        read_clip(data)
    assert caught.value.code == code
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
@pytest.mark.parametrize("share", [0.999, 0.5])
def test_a_clip_that_was_cut_off_is_refused(sound: Sound, kind: str, subtype: str, share: float) -> None:
    """Its labels would lie at wrong times; the decoder reads what there is of a WAV and says nothing."""
    whole = encoded(sound(1.0), 16_000, kind, subtype)
    with pytest.raises(SampleRefused) as caught:
        read_clip(whole[: int(len(whole) * share)])
    assert caught.value.code == ("audio-unreadable" if kind == "FLAC" else "audio-truncated")


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_wav_of_unknown_length_is_read(sound: Sound, size: int) -> None:
    """Writers that cannot go back leave such a length in the header."""
    data = bytearray(wav_of(sound(0.1), 16_000))
    data[40:44] = size.to_bytes(4, "little")
    assert len(read_clip(bytes(data)).values) == 1600


def test_chunks_around_the_sound_are_left_aside(sound: Sound) -> None:
    """Such as the tags that an editor adds, of odd length or cut off behind the sound."""
    data = wav_of(sound(0.1), 16_000)
    tag = b"LIST" + (5).to_bytes(4, "little") + b"INFO!" + b"\0"
    assert len(read_clip(data[:36] + tag + data[36:]).values) == 1600
    assert len(read_clip(data + tag[:10]).values) == 1600


def test_equal_faults_are_told_in_equal_words() -> None:
    """Reports count samples by the reason, so that it holds nothing of the one sample."""
    said = set()
    for _ in range(2):
        with pytest.raises(SampleRefused) as caught:
            read_clip(b"no sound at all")
        said.add(str(caught.value))
    (text,) = said
    assert "(WAV, FLAC): Format not recognised. Upload" in text


def test_a_window_within_the_clip_is_not_padded() -> None:
    """Silence is added behind short ones only."""
    clip = Clip(np.arange(6, dtype=np.float32), 8_000)
    assert clip.cut(Window(2, 5), at_least=3).tolist() == [2, 3, 4]
    assert clip.cut(Window(4, 6), at_least=3).tolist() == [4, 5, 0]
