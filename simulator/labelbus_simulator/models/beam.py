"""The remote OWL-ViT server of the official block: POST / with a picture and phrases, boxes come back."""

import base64
import binascii

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labelbus_simulator.documents import Doc
from labelbus_simulator.models.desk import Desk
from labelbus_simulator.models.eyes import find_shapes, match


def beam_app(desk: Desk | None = None) -> Starlette:
    """Answer `{base64_image, labels}` with `{predictions: [{label, score, box}]}` in whole pixels."""
    state = desk or Desk()

    async def detect(request: Request) -> Response:
        body = await request.json()
        refused = await state.receive(request, body)
        return refused or _detect(body)

    return Starlette(routes=[Route("/", detect, methods=["POST"])])


def _detect(body: Doc) -> Response:
    try:
        shapes = find_shapes(base64.b64decode(body["base64_image"], validate=True))
    except (KeyError, OSError, binascii.Error) as error:
        return JSONResponse({"error": f"base64_image holds no picture: {error}"}, 400)
    found = [
        {
            "label": phrase,
            "score": score,
            "box": {"xmin": s.x0, "ymin": s.y0, "xmax": s.x1, "ymax": s.y1},
        }
        for s in shapes
        for phrase in body.get("labels", [])
        if (score := match(s, phrase)) > 0
    ]
    return JSONResponse({"predictions": sorted(found, key=lambda p: -p["score"])})
