"""The stand-ins see what is in the content, and speak the formats of the real ones."""

import base64
import json
from collections.abc import Iterator, Mapping

import httpx
import pytest
from labelbus_simulator import Dataset
from labelbus_simulator.content import Scene
from labelbus_simulator.models import (
    Desk,
    Mishap,
    Seen,
    beam_app,
    find_shapes,
    hear,
    huggingface_app,
    openai_app,
    serve_model,
)
from labelbus_simulator.models.huggingface import GONE, LOADING, NO_CREDIT
from labelbus_simulator.shapes import Shape


def overlap(a: Shape, b: Seen) -> float:
    """Intersection over union."""
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(0.0, width) * max(0.0, height)
    return shared / ((a.x1 - a.x0) * (a.y1 - a.y0) + b.area - shared)


def test_every_drawn_shape_is_found_where_it_was_drawn() -> None:
    """Over forty pictures, turned or not, nothing is missed and nothing invented."""
    for new in Dataset.images(40, seed=11, rotated=0.3):
        assert isinstance(new.content, Scene)
        found = find_shapes(new.content.data())
        assert len(found) == len(new.content.shapes)
        for shape in new.content.shapes:
            assert any(seen.label == shape.label and overlap(shape, seen) > 0.9 for seen in found)


def test_sounds_are_told_apart() -> None:
    """A clip of one sound is named for it."""
    for new in Dataset.audio(12, seed=2, seconds=0.5):
        assert hear(new.content.data())[0]["label"] == new.content.segments[0].label  # type: ignore[attr-defined]


@pytest.fixture
def picture() -> bytes:
    """One red square."""
    return next(iter(Dataset.images(1, seed=4, objects=[("red", "square")]))).content.data()


@pytest.fixture
def desk() -> Desk:
    """A stand-in's state, with a key."""
    return Desk(key="secret")


@pytest.fixture
def chat(desk: Desk) -> Iterator[httpx.Client]:
    """The chat stand-in, with its key."""
    headers = {"Authorization": "Bearer secret"}
    with serve_model(openai_app(desk)) as url, httpx.Client(base_url=f"{url}/v1", headers=headers) as http:
        yield http


def test_beam_answers_the_phrases_that_are_in_the_picture(desk: Desk, picture: bytes) -> None:
    """Phrases that name nothing drawn have no prediction."""
    body = {"base64_image": base64.b64encode(picture).decode(), "labels": ["a red square", "a dog", "blue"]}
    with serve_model(beam_app(desk)) as url:
        answer = httpx.post(f"{url}/", json=body, headers={"Authorization": "Bearer secret"}).json()
        refused = httpx.post(f"{url}/", json=body)
    assert [(p["label"], p["score"]) for p in answer["predictions"]] == [("a red square", 0.9)]
    assert refused.status_code == 401


def test_hugging_face_answers_bytes_and_json() -> None:
    """Raw audio gives the first five labels, JSON as many as `top_k` says."""
    sound = next(iter(Dataset.audio(1, seed=3, seconds=0.5))).content.data()
    coded = {"inputs": base64.b64encode(sound).decode(), "parameters": {"top_k": 2}}
    with serve_model(huggingface_app()) as url:
        plain = httpx.post(f"{url}/models/ast", content=sound, headers={"Content-Type": "audio/wav"}).json()
        few = httpx.post(f"{url}/models/ast", json=coded).json()
        bad = httpx.post(f"{url}/models/ast", content=b"noise")
    assert (len(plain), few, bad.status_code) == (5, plain[:2], 400)


@pytest.mark.parametrize("mishap", [LOADING, GONE, NO_CREDIT])
def test_hugging_face_fails_on_request(mishap: Mishap) -> None:
    """503 with estimated_time, 410 and 402, then as before."""
    sound = next(iter(Dataset.audio(1, seconds=0.5))).content.data()
    desk = Desk()
    desk.mishaps.append(mishap)
    with serve_model(huggingface_app(desk)) as url:
        answers = [httpx.post(f"{url}/models/ast", content=sound) for _ in range(2)]
    assert [a.status_code for a in answers] == [mishap.status, 200]
    assert answers[0].json() == mishap.body


def question(picture: bytes, response_format: Mapping[str, object]) -> dict[str, object]:
    """A request about one picture in low detail."""
    url = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
    content = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    messages = [{"role": "user", "content": content}]
    return {"model": "simulated", "messages": messages, "response_format": response_format}


def test_openai_fills_the_schema_that_is_asked_for(chat: httpx.Client, picture: bytes) -> None:
    """The label is the closest of the choices, and tokens are counted."""
    label = {"type": "string", "enum": ["blue", "red", "unsure"]}
    schema = {"type": "object", "properties": {"label": label, "confidence": {"type": "number"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    answer = chat.post("/chat/completions", json=question(picture, form)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"label": "red", "confidence": 0.9}
    assert answer["usage"]["prompt_tokens"] == 85


def test_openai_answers_json_without_a_schema(chat: httpx.Client, picture: bytes) -> None:
    """json_object is a label with a reason."""
    answer = chat.post("/chat/completions", json=question(picture, {"type": "json_object"})).json()
    assert json.loads(answer["choices"][0]["message"]["content"])["label"] == "red square"


def test_openai_refuses_what_is_no_picture(chat: httpx.Client) -> None:
    """Damaged data is the caller's error."""
    answer = chat.post("/chat/completions", json=question(b"no picture", {"type": "text"}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")


def test_openai_lists_its_models(chat: httpx.Client) -> None:
    """The catalogue names the pinned model."""
    assert "gpt-4o-2024-08-06" in [model["id"] for model in chat.get("/models").json()["data"]]


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [("truth", "valid"), ("wrong label", "invalid"), ("elsewhere", "invalid"), ("none", "invalid")],
)
def test_openai_judges_boxes(chat: httpx.Client, boxes: str, wanted: str) -> None:
    """A question that lists boxes and asks for valid or invalid is answered by what the picture shows."""
    (new,) = Dataset.images(1, objects=(("red", "circle"),))
    (shape,) = new.truth
    box = {**shape.box()}  # type: ignore[union-attr]
    if boxes == "wrong label":
        box["label"] = "blue square"
    elif boxes == "elsewhere":
        box["x"] += 2 * box["width"] + 2
    line = "- {label}: x {x}, y {y}, width {width}, height {height}".format(**box)
    label = {"type": "string", "enum": ["valid", "invalid"]}
    schema = {"type": "object", "properties": {"label": label, "reason": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    text = "Boxes:\n" + ("(none)" if boxes == "none" else line)
    asked = question(new.content.data(), form)
    asked["messages"].append({"role": "user", "content": text})  # type: ignore[attr-defined]
    answer = chat.post("/chat/completions", json=asked).json()
    said = json.loads(answer["choices"][0]["message"]["content"])
    assert said["label"] == wanted and said["reason"]
