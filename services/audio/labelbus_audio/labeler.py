"""The labeler `audio`: time ranges with the sounds that are heard in them."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Final

from labelbus_contracts.labels import SampleFacts
from labelbus_labeling.each import label_each
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_runtime.errors import SampleRefused

from labelbus_audio.choosing import choose_ears
from labelbus_audio.clips import Clip, read_clip
from labelbus_audio.ears import Answer, Ears, Query, top_for
from labelbus_audio.interest import described, parse_labels
from labelbus_audio.listening import Listener
from labelbus_audio.parameters import AudioParameters
from labelbus_audio.settings import AudioSettings
from labelbus_audio.windows import Verdict, Window, in_samples, ranges_of, windows_of

_HEARD_MS: Final = 10_256
"""What the model takes in; silence beyond it would only be sent."""
_APART: Final = 0.05
"""By how much a file's length may differ from Studio's: its header holds whole Hertz only."""
_UPLOAD: Final = "Upload the sample again, or remove it from the job."


class AudioLabeler:
    """Implements `Labeler`. Tasks of a batch run together; the engine makes its own batches of them."""

    def __init__(self, ears: Ears, *, price_per_call_usd: float | None = None) -> None:
        self._ears = ears
        self._listener = Listener(ears, price_usd=price_per_call_usd)

    @property
    def announcement(self) -> str:
        """Say which engine listens."""
        return f"Listening with {self._ears.place}."

    async def open(self) -> None:
        """Load the model or make the connections. Raises `SettingsError`."""
        await self._ears.open()

    async def close(self) -> None:
        """Free the model or the connections."""
        await self._ears.close()

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order, with its new draft or the error that it met."""
        return await label_each(batch, self._labeled)

    async def _labeled(self, task: LabelTask) -> Labeled:
        parameters = task.parameters_as(AudioParameters)
        wanted = parse_labels(parameters.audioset_labels)
        clip = await asyncio.to_thread(read_clip, await task.media.wav(axis=0))
        windows = _windows(task.base.sample, clip, parameters)
        query = _query(task.base.sample, clip, windows, parameters)
        started = time.perf_counter()
        listened = await self._listener.listen(task, query)
        usage = listened.usage.model_copy(update={"seconds": time.perf_counter() - started})
        verdicts = [_verdict(answer, wanted, parameters) for answer in listened.answers]
        ranges = ranges_of(windows, verdicts, rule=parameters.overlap, source=task.source)
        metadata = {**task.draft.metadata, **_metadata(parameters, wanted)}
        draft = task.draft.model_copy(update={"ranges": ranges, "metadata": metadata})
        return Labeled(draft, model=self._ears.model, usage=usage, notes=_notes(query))


def make_labeler(environ: Mapping[str, str]) -> AudioLabeler:
    """Build the labeler from the environment. Raises `SettingsError`."""
    settings = AudioSettings.from_environment(environ)
    return AudioLabeler(choose_ears(settings), price_per_call_usd=settings.price_per_call_usd)


def _windows(facts: SampleFacts, clip: Clip, parameters: AudioParameters) -> tuple[Window, ...]:
    """Return the windows in Studio's indexes, which are those of the labels."""
    count = len(clip.values) if facts.values_count is None else facts.values_count
    if count < 1:
        raise SampleRefused(f"The clip has no values in Studio. {_UPLOAD}", code="audio-empty")
    _check_length(facts, clip, count)
    return windows_of(
        count,
        facts.frequency_hz or clip.rate,
        size_ms=parameters.win_size_ms,
        stride_ms=parameters.win_stride_ms,
    )


def _check_length(facts: SampleFacts, clip: Clip, count: int) -> None:
    """Refuse a file that lasts another time than Studio says: labels would lie at wrong times."""
    if count == len(clip.values) or not facts.frequency_hz:
        return
    said_s, lasts_s = count / facts.frequency_hz, len(clip.values) / clip.rate
    if abs(said_s - lasts_s) > _APART * max(said_s, lasts_s) + 1 / facts.frequency_hz:
        fact = f"The clip's file lasts {lasts_s:.2f} s, and Studio says that the sample lasts {said_s:.2f} s."
        raise SampleRefused(f"{fact} {_UPLOAD}", code="audio-length")


def _query(facts: SampleFacts, clip: Clip, windows: Sequence[Window], parameters: AudioParameters) -> Query:
    """Return the windows in the file's own samples, which may be more or fewer than Studio's."""
    scale = len(clip.values) / (facts.values_count or len(clip.values))
    spans = [Window(round(one.start * scale), max(1, round(one.end * scale))) for one in windows]
    longest = max(span.end - span.start for span in spans)
    size = in_samples(parameters.win_size_ms, clip.rate)
    length = max(longest, min(size, math.ceil(clip.rate * _HEARD_MS / 1000)))
    return Query(clip, tuple(spans), length, top_for(parameters.min_confidence))


def _verdict(answer: Answer, wanted: Mapping[str, str], parameters: AudioParameters) -> Verdict:
    """Return the best label of interest that scores enough, else the other label."""
    for heard in answer:
        name = wanted.get(heard.label.lower())
        if name is not None and heard.score >= parameters.min_confidence:
            return Verdict(name, heard.score)
    return Verdict(parameters.other_label)


def _metadata(parameters: AudioParameters, wanted: Mapping[str, str]) -> dict[str, str]:
    if not parameters.write_metadata:
        return {}
    return {"labeled_by": "audio-spectrogram-transformer", "ast_labels": described(wanted)}


def _notes(query: Query) -> tuple[str, ...]:
    if len(query.clip.values) >= query.length:
        return ()
    return ("The clip is shorter than a window: silence was added for the model.",)
