"""The labeler: drafts from what an engine hears, whichever engine it is."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from labelbus_audio import registration
from labelbus_audio.choosing import choose_ears
from labelbus_audio.clips import Values, wav_of
from labelbus_audio.ears import Answer, Heard, Query
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.labeler import AudioLabeler, make_labeler
from labelbus_audio.local import LocalEars
from labelbus_audio.parameters import AudioParameters
from labelbus_audio.remote import RemoteEars
from labelbus_audio.settings import DEFAULT_MODEL, AudioSettings
from labelbus_contracts.labels import LabelPart, LabelSet, TimeRange
from labelbus_labeling.labeler import Labeled, LabelTask, Registration
from labelbus_labeling.paid import Answer as Paid
from labelbus_labeling.paid import Estimate, PartlyBilled
from labelbus_labeling.testing import LabelerConformance
from labelbus_runtime.errors import RetryLater, SampleRefused, SettingsError
from pydantic import ValidationError

MakeTask = Callable[..., LabelTask]
Spans = Callable[[tuple[TimeRange, ...]], list[tuple[int, int, str]]]


class LoudnessEars:
    """Hears speech in loud windows, music in soft ones and silence in quiet ones; notes what it was asked."""

    model = "loudness"
    place = "a meter"
    is_elsewhere = True

    def __init__(self) -> None:
        self.queries: list[Query] = []
        self.failing: set[int] = set()
        self.fault = RetryLater("busy")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def hear(self, query: Query) -> list[Answer | Exception]:
        self.queries.append(query)
        answers: list[Answer | Exception] = []
        for number, window in enumerate(query.windows):
            loud = float(np.abs(query.clip.cut(window, at_least=query.length)).max())
            name = "Speech" if loud > 0.5 else "Music" if loud > 0.01 else "Silence"
            fails = number in self.failing
            answers.append(self.fault if fails else (Heard("Rain", 0.95), Heard(name, 0.9)))
        return answers


@pytest.fixture
def ears() -> LoudnessEars:
    """The engine."""
    return LoudnessEars()


def levels(*loud: float, rate: int = 1000) -> bytes:
    """Return a WAV with a second of each level, and so much noise that no window equals another."""
    noise = np.random.default_rng(1).uniform(0.99, 1, rate * len(loud))
    return wav_of((np.repeat(np.array(loud), rate) * noise).astype(np.float32), rate)


async def answer(ears: LoudnessEars, task: LabelTask) -> Labeled:
    """Label one task."""
    (outcome,) = await AudioLabeler(ears).label([task])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_ranges_cover_the_clip(ears: LoudnessEars, task: MakeTask, spans: Spans) -> None:
    """The best label of interest that is sure enough, renamed, or the other label; metadata as officially."""
    wanted = "Speech (Talk)\nmusic"
    labeled = await answer(ears, task(levels(0.9, 0.1, 0.0, 0.9), audioset_labels=wanted))
    assert spans(labeled.draft.ranges) == [
        (0, 999, "talk"), (1000, 1999, "music"), (2000, 2999, "other"), (3000, 3999, "talk")
    ]  # fmt: skip
    assert [one.score for one in labeled.draft.ranges] == [0.9, 0.9, None, 0.9]
    assert labeled.draft.metadata == {
        "labeled_by": "audio-spectrogram-transformer",
        "ast_labels": "speech (talk), music",
    }
    unsure = await answer(ears, task(levels(0.9), min_confidence=0.91, other_label="?", write_metadata=False))
    assert (spans(unsure.draft.ranges), unsure.draft.metadata) == ([(0, 999, "?")], {})


async def test_equal_windows_are_heard_once(ears: LoudnessEars, task: MakeTask) -> None:
    """Silence that comes again is not asked again, nor is anything that this process has heard."""
    data = wav_of(np.zeros(8000, np.float32), 1000)
    labeler = AudioLabeler(ears)
    for _ in range(2):
        await labeler.label([task(data)])
    assert [len(query.windows) for query in ears.queries] == [1]


async def test_a_clip_that_failed_halfway_asks_only_for_the_rest(ears: LoudnessEars, task: MakeTask) -> None:
    """What was heard before the fault is kept."""
    labeler, one = AudioLabeler(ears), task(levels(0.9, 0.5, 0.1, 0.3))
    ears.failing = {2}
    assert isinstance((await labeler.label([one]))[0], RetryLater)
    ears.failing = set()
    assert isinstance((await labeler.label([one]))[0], Labeled)
    assert [len(query.windows) for query in ears.queries] == [4, 1]


async def test_a_short_clip_is_padded(ears: LoudnessEars, task: MakeTask, spans: Spans) -> None:
    """It is one range; the model hears a whole window, but no more silence than it takes in."""
    labeled = await answer(ears, task(levels(0.9), win_size_ms=3000))
    assert spans(labeled.draft.ranges) == [(0, 999, "speech")]
    assert (ears.queries[0].length, len(labeled.notes)) == (3000, 1)
    await answer(ears, task(levels(0.9), win_size_ms=3_600_000))
    assert ears.queries[1].length == 10_256


async def test_ranges_count_in_studios_samples(ears: LoudnessEars, task: MakeTask, spans: Spans) -> None:
    """A WAV at another rate than Studio's says the same of the same times."""
    labeled = await answer(ears, task(levels(0.9, 0.1, rate=2000), count=200, frequency_hz=100.0))
    assert spans(labeled.draft.ranges) == [(0, 99, "speech"), (100, 199, "music")]


class Desk:
    """Implements `PaidCalls`: notes the worst case, and what was billed."""

    def __init__(self) -> None:
        self.worst: list[Estimate] = []
        self.billed: list[tuple[int, float]] = []

    async def ask(self, *, worst: Estimate, call: Callable[[], Awaitable[Paid]], **_: object) -> Paid:
        self.worst.append(worst)
        try:
            answer = await call()
        except PartlyBilled as fault:
            self.billed.append((fault.calls, fault.usage.cost_usd))
            raise fault.error from fault
        self.billed.append((answer.calls, answer.usage.cost_usd))
        return answer


async def test_each_distinct_window_elsewhere_has_its_price(ears: LoudnessEars, task: MakeTask) -> None:
    """Three windows, two of them equal, are two calls; a clip that fails half way pays for what was heard."""
    labeler, desk = AudioLabeler(ears, price_per_call_usd=0.01), Desk()
    steady = np.repeat(np.array([0.9, 0.1, 0.9], np.float32), 1000)
    clip = replace(task(wav_of(steady, 1000)), paid=desk)
    ears.failing = {1}
    (failed,) = await labeler.label([clip])
    assert isinstance(failed, RetryLater)
    ears.failing = set()
    (labeled,) = await labeler.label([clip])
    assert isinstance(labeled, Labeled)
    assert labeled.usage.cost_usd == pytest.approx(0.01)
    assert [(one.calls, one.cost_usd) for one in desk.worst] == [(2, 0.02), (1, 0.01)]
    assert desk.billed == [(1, 0.01), (1, 0.01)]


async def test_a_window_without_an_answer_may_be_billed(ears: LoudnessEars, task: MakeTask) -> None:
    """So it is counted, as the others are that were heard; those that were not asked are not."""
    labeler, desk = AudioLabeler(ears, price_per_call_usd=0.01), Desk()
    ears.failing, ears.fault = {1}, RetryLater("It did not answer in time.", code="engine-timeout")
    (failed,) = await labeler.label([replace(task(levels(0.9, 0.5, 0.1)), paid=desk)])
    assert failed is ears.fault
    assert desk.billed == [(3, 0.03)]


async def test_an_unknown_price_fits_no_budget(ears: LoudnessEars, task: MakeTask) -> None:
    """Without a price the calls are still counted, and the setting that gives it is named."""
    desk = Desk()
    await AudioLabeler(ears).label([replace(task(levels(0.9, 0.1)), paid=desk)])
    (worst,) = desk.worst
    assert (worst.calls, worst.cost_usd) == (2, math.inf)
    assert worst.price_setting == "LABELBUS_AUDIO_PRICE_PER_CALL_USD"
    assert AudioSettings.from_environment({worst.price_setting: "0.5"}).price_per_call_usd == 0.5


async def test_a_file_of_another_length_is_refused(ears: LoudnessEars, task: MakeTask) -> None:
    """Half a clip would be labeled at twice the times; a rate that the header cannot hold is no reason."""
    two_seconds = levels(0.9, 0.1, rate=1000)
    half = task(two_seconds, count=4000, frequency_hz=1000.0)
    rounded = task(two_seconds, count=1980, frequency_hz=1000.0)
    outcomes = await AudioLabeler(ears).label([half, rounded])
    assert [type(one) for one in outcomes] == [SampleRefused, Labeled]
    assert "lasts 2.00 s, and Studio says that the sample lasts 4.00 s" in str(outcomes[0])


async def test_a_clip_without_values_is_refused(ears: LoudnessEars, task: MakeTask) -> None:
    """Zero length, in the file or in Studio, is that sample's own fault."""
    labeler = AudioLabeler(ears)
    empty = task(wav_of(np.zeros(0, np.float32), 1000))
    outcomes = await labeler.label([empty, task(levels(0.9), count=0), task(levels(0.9))])
    assert [type(one) for one in outcomes] == [SampleRefused, SampleRefused, Labeled]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"win_stride_ms": 0}, "greater than or equal to 1"),
        ({"win_size_ms": 0}, "greater than or equal to 1"),
        ({"win_stride_ms": 1001}, "leaves gaps"),
        ({"min_confidence": 1.5}, "less than or equal to 1"),
        ({"overlap": "vote"}, "last"),
        ({"audioset_labels": "spech"}, "Did you mean 'Speech'"),
    ],
)
def test_wrong_parameters_are_refused(task: MakeTask, wrong: dict[str, object], said: str) -> None:
    """Before any sample is listened to."""
    with pytest.raises(ValidationError, match=said):
        task(b"", **wrong)


@pytest.mark.parametrize(
    ("environ", "installed", "kind", "model"),
    [
        ({"HF_INFERENCE_ENDPOINT": "http://ears.test/x"}, True, RemoteEars, "endpoint:ears.test#c39494d1"),
        ({"HF_API_KEY": "k"}, True, LocalEars, DEFAULT_MODEL),
        ({"HF_API_KEY": "k"}, False, RemoteEars, DEFAULT_MODEL),
        ({"LABELBUS_AUDIO_ENGINE": "router", "HF_API_KEY": "k"}, True, RemoteEars, DEFAULT_MODEL),
        ({"LABELBUS_AUDIO_ENGINE": "local", "HF_API_KEY": "k"}, False, LocalEars, DEFAULT_MODEL),
    ],
)
def test_auto_takes_the_first_that_is_there(
    environ: dict[str, str], installed: bool, kind: type, model: str
) -> None:
    """An endpoint, the model here, the router; naming an engine decides."""
    ears = choose_ears(AudioSettings.from_environment(environ), local_is_installed=lambda: installed)
    assert isinstance(ears, kind)
    assert ears.model == model


def test_endpoints_of_one_host_are_told_apart() -> None:
    """Answers that are kept of one are not another's; their names show no more than the host."""
    urls = [
        "https://ears.test/a",
        "https://ears.test/b",
        "https://ears.test:8443/a",
        "https://u:word@ears.test/a",
    ]
    chosen = [choose_ears(AudioSettings.from_environment({"HF_INFERENCE_ENDPOINT": url})) for url in urls]
    names = {one.model for one in chosen}
    assert len(names) == len(urls)
    assert all(name.startswith("endpoint:ears.test#") and "word" not in name for name in names)


async def test_the_engine_is_announced(tiny: Path) -> None:
    """People see what listens, and by which variable it was chosen."""
    local = make_labeler({"LABELBUS_AUDIO_ENGINE": "local", "LABELBUS_AUDIO_MODEL": str(tiny)})
    await local.open()
    assert local.announcement == f"Listening with {tiny} on this machine (cpu)."
    await local.close()
    endpoint = make_labeler({"HF_INFERENCE_ENDPOINT": "https://ears.test/x"})
    assert endpoint.announcement == "Listening with the endpoint at ears.test (HF_INFERENCE_ENDPOINT)."
    router = make_labeler({"LABELBUS_AUDIO_ENGINE": "router", "HF_API_KEY": "hf_secret"})
    assert router.announcement == f"Listening with {DEFAULT_MODEL} behind Hugging Face's router (HF_API_KEY)."


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "HF_INFERENCE_ENDPOINT.*labelbus-audio.*HF_API_KEY"),
        ({"LABELBUS_AUDIO_ENGINE": "endpoint"}, "HF_INFERENCE_ENDPOINT"),
        ({"LABELBUS_AUDIO_ENGINE": "router"}, "HF_API_KEY"),
        ({"LABELBUS_AUDIO_ENGINE": "ear"}, "LABELBUS_AUDIO_ENGINE: Input should be"),
        ({"HF_INFERENCE_ENDPOINT": "ears"}, "begins with https"),
        ({"HF_API_KEY": "hf_\u2026"}, "HF_API_KEY has a character that no key has"),
    ],
)
def test_what_is_not_configured_is_named(environ: dict[str, str], said: str) -> None:
    """The error says what to set."""
    with pytest.raises(SettingsError, match=said) as caught:
        choose_ears(AudioSettings.from_environment(environ), local_is_installed=lambda: False)
    assert isinstance(caught.value, SettingsError)
    assert issubclass(EngineUnavailable, SettingsError)


class TestAudioConformance(LabelerConformance):
    """What holds for every labeler holds for `audio`, with a true if tiny model."""

    registration: ClassVar[Registration] = registration()
    parameters = (
        AudioParameters(
            audioset_labels="speech\nmusic", win_size_ms=400, win_stride_ms=200, min_confidence=0
        ),
        AudioParameters(audioset_labels="bark", overlap="max-score"),
    )
    changes: ClassVar[frozenset[LabelPart]] = frozenset({"ranges"})

    @pytest.fixture
    async def labeler(self, tiny: Path) -> AsyncIterator[AudioLabeler]:
        """Open the labeler as a process does."""
        made = make_labeler(
            {
                "LABELBUS_AUDIO_ENGINE": "local",
                "LABELBUS_AUDIO_MODEL": str(tiny),
                "LABELBUS_AUDIO_DEVICE": "cpu",
            }
        )
        await made.open()
        yield made
        await made.close()

    async def test_keeps_other_labels(
        self, labeler: AudioLabeler, task: MakeTask, sound: Callable[..., Values]
    ) -> None:
        """Ranges of earlier steps are replaced, as the official block does; the rest stays."""
        draft = LabelSet(ranges=(TimeRange(start_index=0, end_index=5, label="old"),), metadata={"site": "A"})
        (labeled,) = await labeler.label([task(wav_of(sound(1.0), 16_000), draft=draft)])
        assert isinstance(labeled, Labeled)
        assert "old" not in {one.label for one in labeled.draft.ranges}
        assert labeled.draft.metadata["site"] == "A"
