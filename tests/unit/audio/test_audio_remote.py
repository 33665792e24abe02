"""The engine elsewhere: what is sent, and what each answer means."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from labelbus_audio.clips import Clip, Values, wav_of
from labelbus_audio.ears import Heard, Query, top_for
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.remote import Place, RemoteEars
from labelbus_audio.windows import Window
from labelbus_runtime.errors import RetryLater, SampleRefused
from pydantic import SecretStr

KEY = "hf_secret"
PLACE = Place(
    "The endpoint",
    "ears.test",
    "https://ears.test/path",
    "endpoint:ears.test",
    "HF_INFERENCE_ENDPOINT",
)
GOOD = httpx.Response(200, json=[{"score": 0.2, "label": "Music"}, {"score": 0.7, "label": "Speech"}])


class Line:
    """Answers requests in turn, the last answer for ever; notes them and the waits between them."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def heard(line: Line, query: Query, place: Place = PLACE, **more: Any) -> Sequence[object]:
    """Ask once."""
    ears = RemoteEars(place, transport=httpx.MockTransport(line), sleep=line.sleep, **more)
    await ears.open()
    try:
        return await ears.hear(query)
    finally:
        await ears.close()


@pytest.fixture
def query(sound: Callable[..., Values]) -> Query:
    """Two windows of a second."""
    return Query(Clip(sound(2.0), 16_000), (Window(0, 16_000), Window(16_000, 32_000)), 16_000)


async def test_a_window_is_sent_as_the_bytes_of_a_wav(query: Query) -> None:
    """With its type and the key; the answer comes back best first."""
    line = Line(GOOD)
    place = Place("The endpoint", "ears.test", PLACE.url, "m", "V", SecretStr(KEY))
    assert await heard(line, query, place) == [(Heard("Speech", 0.7), Heard("Music", 0.2))] * 2
    first = line.requests[0]
    assert str(first.url) == "https://ears.test/path"
    assert first.headers["Content-Type"] == "audio/wav"
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert first.content == wav_of(query.clip.values[:16_000], 16_000)


async def test_more_labels_are_asked_for_where_they_could_count(query: Query) -> None:
    """Below a minimum of 1/6 the five that come unasked may miss one."""
    assert [top_for(least) for least in (1.0, 0.2, 1 / 6, 0.1, 0.001, 0.0)] == [5, 5, 5, 10, 527, 527]
    line = Line(GOOD)
    await heard(line, Query(query.clip, query.windows[:1], 16_000, top=10))
    body = json.loads(line.requests[0].content)
    assert body["parameters"] == {"top_k": 10}
    assert base64.b64decode(body["inputs"]) == wav_of(query.clip.values[:16_000], 16_000)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "engine-key-refused"),
        (403, "engine-key-refused"),
        (402, "engine-no-credit"),
        (404, "engine-gone"),
        (410, "engine-gone"),
        (308, "engine-wrong"),
    ],
)
async def test_what_concerns_every_sample_pauses_the_job(query: Query, status: int, code: str) -> None:
    """A refused key, spent credit, a service that is gone: said plainly, and no further window is asked."""
    line = Line(httpx.Response(status, json={"error": "because"}))
    answers = await heard(line, query, concurrency=1)
    error = answers[0]
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("job", code)
    assert "because" in str(error)
    assert len(line.requests) == 1
    assert answers[1] is error


async def test_a_key_revoked_in_the_middle_pauses_the_job(query: Query) -> None:
    """What was heard before is kept; the next window says why it cannot go on."""
    line = Line(GOOD, httpx.Response(401, json={"error": "Invalid credentials"}))
    first, error = await heard(line, query, concurrency=1)
    assert isinstance(first, tuple)
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("job", "engine-key-refused")


async def test_a_model_that_loads_is_waited_for(query: Query) -> None:
    """A short time is waited in place, a long one by coming back."""
    loading = httpx.Response(503, json={"error": "loading", "estimated_time": 2.5})
    line = Line(loading, GOOD)
    answers = await heard(line, query, concurrency=1)
    assert all(isinstance(one, tuple) for one in answers)
    assert 2.5 <= line.waits[0] <= 2.75
    long = Line(httpx.Response(503, json={"error": "loading", "estimated_time": 60.5}))
    error = (await heard(long, query))[0]
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code, error.after_s, long.waits) == ("sample", "starting", 60.5, [])


async def test_a_busy_engine_is_asked_less_and_less(query: Query) -> None:
    """429 backs off in place, by Retry-After where it is given, for ten seconds at most."""
    line = Line(httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(429), GOOD)
    answers = await heard(line, query, concurrency=1)
    assert all(isinstance(one, tuple) for one in answers)
    assert [round(wait) for wait in line.waits] in ([3, 0], [3, 1])
    for_ever = Line(httpx.Response(429))
    error = (await heard(for_ever, query, concurrency=1))[0]
    assert isinstance(error, RetryLater)
    assert error.code == "rate"
    assert 3 <= sum(for_ever.waits) <= 11


@pytest.mark.parametrize(
    ("headers", "body", "after_s"),
    [
        ({"Retry-After": "1e9"}, {}, 900),
        ({"Retry-After": "inf"}, {}, None),
        ({"Retry-After": "soon"}, {"estimated_time": 1e12}, 900),
        ({"Retry-After": "-3"}, {}, 0),
    ],
)
async def test_nobody_is_waited_for_for_ever(
    query: Query, headers: dict[str, str], body: dict[str, float], after_s: float | None
) -> None:
    """A wait that makes no sense is bounded, or left to us."""
    line = Line(httpx.Response(503, json=body, headers=headers))
    error = (await heard(line, query))[0]
    assert isinstance(error, RetryLater)
    assert error.after_s == after_s


@pytest.mark.parametrize("body", ["[]", "{}", '"yes"', '[{"label": "Speech"}]', "no json", ""])
async def test_strange_answers_are_shown(query: Query, body: str) -> None:
    """Anything but a list of labels with scores; it is billed, so the same call does not ask again."""
    line = Line(httpx.Response(200, text=body))
    error = (await heard(line, query))[0]
    assert isinstance(error, RetryLater)
    assert (error.scope, error.code) == ("sample", "engine-answer")
    assert len(line.requests) == 1


async def test_a_refused_sound_is_that_samples_own(query: Query) -> None:
    """400 is permanent."""
    error = (await heard(Line(httpx.Response(400, json={"error": "Malformed soundfile"})), query))[0]
    assert isinstance(error, SampleRefused)
    assert "Malformed soundfile" in str(error)


async def test_a_broken_line_is_tried_again(query: Query) -> None:
    """Connection faults pass; their text names no address and no key."""
    line = Line(httpx.ConnectError("boom"), httpx.ConnectError("boom"), GOOD)
    assert all(isinstance(one, tuple) for one in await heard(line, query, concurrency=1))
    error = (await heard(Line(httpx.ConnectError("boom")), query))[0]
    assert isinstance(error, RetryLater)
    assert "HF_INFERENCE_ENDPOINT" in str(error)


async def test_a_call_without_an_answer_is_not_repeated_in_place(query: Query) -> None:
    """It may be billed all the same: whoever asks again must have the money for it."""
    line = Line(httpx.ReadTimeout("slow"), GOOD)
    error = (await heard(line, query, concurrency=1))[0]
    assert isinstance(error, RetryLater) and error.code == "engine-timeout"
    assert len(line.requests) == 1


def test_an_address_that_is_none_is_said_at_the_start() -> None:
    """Before anything is labeled."""
    with pytest.raises(EngineUnavailable, match="https"):
        RemoteEars(Place("The endpoint", "ears.test", "ears.test", "m", "HF_INFERENCE_ENDPOINT"))
