"""OpenAI's chat completions for pictures: answers name the largest shape, in the schema that is asked for."""

import base64
import json
from itertools import count

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labelbus_simulator.documents import Doc
from labelbus_simulator.models.desk import Desk
from labelbus_simulator.models.eyes import Seen, find_shapes, name_picture
from labelbus_simulator.models.verdicts import asks_for_verdict, verdict

MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini", "simulated")
_LOW_TOKENS, _HIGH_TOKENS = 85, 765


def openai_app(desk: Desk | None = None) -> Starlette:
    """Serve /v1/chat/completions and /v1/models, and Azure's address of a deployment."""
    state, numbers = desk or Desk(), count(1)

    async def complete(request: Request) -> Response:
        body = await request.json()
        refused = await state.receive(request, body)
        return refused or _complete(body, next(numbers))

    async def models(_: Request) -> Response:
        return JSONResponse(
            {
                "object": "list",
                "data": [{"id": m, "object": "model", "created": 1, "owned_by": "simulator"} for m in MODELS],
            }
        )

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/openai/deployments/{deployment}/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
        ]
    )


def _complete(body: Doc, number: int) -> Response:
    text, pictures, high = _read(body.get("messages", []))
    try:
        answer = _answer(body, text, [base64.b64decode(p) for p in pictures])
    except (OSError, ValueError) as error:
        message = f"You uploaded an unsupported image: {error}"
        return JSONResponse(
            {"error": {"message": message, "type": "invalid_request_error", "code": "invalid_image"}}, 400
        )
    image_tokens = len(pictures) * (_HIGH_TOKENS if high else _LOW_TOKENS)
    prompt, completion = len(text) // 4 + image_tokens, max(1, len(answer) // 4)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "image_tokens": image_tokens},
    }
    said = {"role": "assistant", "content": answer, "refusal": None}
    return JSONResponse(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1,
            "model": body.get("model", MODELS[0]),
            "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
            "usage": usage,
        },
        headers={"x-request-id": f"req_{number}"},
    )


def _read(messages: list[Doc]) -> tuple[str, list[str], bool]:
    """All text, the pictures as base64, and whether any is asked for in detail."""
    texts, pictures, high = [], [], False
    for message in messages:
        content = message.get("content") or ""
        parts: list[Doc] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                pictures.append(part["image_url"]["url"].partition("base64,")[2])
                high = high or part["image_url"].get("detail") != "low"
    return "\n".join(texts), pictures, high


def _answer(body: Doc, text: str, pictures: list[bytes]) -> str:
    label = name_picture(pictures[0]) if pictures else "nothing"
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
        if pictures and asks_for_verdict(schema):
            return json.dumps(verdict(text, pictures[0]))
        return json.dumps(_fill(schema, label, schema, pictures))
    if form.get("type") == "json_object":
        return json.dumps({"label": label, "reason": f"The largest shape is a {label}."})
    return label


def _fill(schema: Doc, label: str, root: Doc, pictures: list[bytes], name: str = "") -> object:
    """A value that satisfies a schema and tells of the picture where it can."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        return _fill(schema["anyOf"][0], label, root, pictures, name)
    if "enum" in schema:
        return _choose([str(value) for value in schema["enum"]], label)
    if _is_detection(schema):
        return [_place(schema["items"], label, seen) for label, seen in _wanted(schema["items"], pictures)]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {
            key: _fill(sub, label, root, pictures, key) for key, sub in schema.get("properties", {}).items()
        }
    if kind == "array":
        return [_fill(schema["items"], shape, root, pictures, name) for shape in _labels(pictures)]
    scalars: Doc = {"number": 0.9, "integer": 1, "boolean": True, "null": None}
    if kind in scalars:
        return scalars[str(kind)]
    return f"The largest shape is a {label}." if name in ("reason", "explanation") else label


def _is_detection(schema: Doc) -> bool:
    """Whether a list of labeled boxes is asked for."""
    properties = schema.get("items", {}).get("properties", {})
    return schema.get("type") == "array" and "enum" in properties.get("label", {}) and "x_min" in properties


def _wanted(item: Doc, pictures: list[bytes]) -> list[tuple[str, Seen]]:
    """Every shape that one of the labels names, in all its words."""
    choices = [str(value) for value in item["properties"]["label"]["enum"]]
    return [
        (choice, seen)
        for seen in (find_shapes(pictures[0]) if pictures else [])
        for choice in choices
        if set(choice.lower().split()) <= set(seen.label.split())
    ]


def _place(item: Doc, label: str, seen: Seen) -> Doc:
    said = {"label": label, "x_min": seen.x0, "y_min": seen.y0, "x_max": seen.x1, "y_max": seen.y1}
    return {name: said.get(name, 0.9) for name in item["properties"]}


def _choose(choices: list[str], label: str) -> str:
    """The choice that shares most words with the label; the last one (often `unsure`) when none does."""
    words = set(label.split())
    best = max(choices, key=lambda choice: len(words & set(choice.lower().split())))
    return best if words & set(best.lower().split()) else choices[-1]


def _labels(pictures: list[bytes]) -> list[str]:
    return [seen.label for seen in find_shapes(pictures[0])] if pictures else []
