"""Hugging Face audio classification: POST a WAV, a list of labels with scores comes back."""

import base64
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labelbus_simulator.models.desk import Desk, Mishap
from labelbus_simulator.models.ears import hear

LOADING = Mishap(
    503,
    {"error": "Model MIT/ast-finetuned-audioset-10-10-0.4593 is currently loading", "estimated_time": 0.2},
)
GONE = Mishap(
    410,
    {
        "error": "https://api-inference.huggingface.co is no longer supported. "
        "Please use https://router.huggingface.co/hf-inference instead."
    },
)
NO_CREDIT = Mishap(402, {"error": "You have exceeded your monthly included credits for Inference Providers."})
_TOP = 5  # labels answered unless top_k says otherwise


def huggingface_app(desk: Desk | None = None) -> Starlette:
    """Answer raw audio bytes, or JSON `{inputs: base64, parameters: {top_k}}`, on any path."""
    state = desk or Desk()

    async def classify(request: Request) -> Response:
        body = await request.body()
        refused = await state.receive(request, {"bytes": len(body), "path": request.url.path})
        return refused or _classify(body, request.headers.get("content-type", ""))

    return Starlette(routes=[Route("/{model:path}", classify, methods=["POST"])])


def _classify(body: bytes, content_type: str) -> Response:
    top = _TOP
    try:
        if content_type.startswith("application/json"):
            document = json.loads(body)
            body = base64.b64decode(document["inputs"], validate=True)
            top = document.get("parameters", {}).get("top_k", _TOP)
        return JSONResponse(hear(body)[:top])
    except (ValueError, KeyError) as error:
        return JSONResponse({"error": f"Malformed soundfile: {error}"}, 400)
