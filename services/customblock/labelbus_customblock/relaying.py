"""Requests that are handed on to the real Studio: reads, and pictures for an impulse to classify."""

import re
from collections.abc import Mapping
from typing import Final

from labelbus_studio.answers import Call
from labelbus_studio.client import StudioClient
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from labelbus_customblock.errors import Overreach

_SAFE: Final = re.compile(r"/api/[A-Za-z0-9/_.-]*")
_KEPT_BACK: Final = re.compile(
    r"/([\w-]*keys|[\w-]*token[\w-]*|secrets|clear-[\w-]+|\.\.?)(/|$)", re.IGNORECASE
)
"""Reads that hand out keys, the GET that deletes, and paths that end up at another one."""
_PROJECT: Final = re.compile(r"/api/\d{1,18}/?")
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one request: what a block sends is held in memory."""
_CLASSIFY: Final = re.compile(r"/api/\d{1,18}/classify/image")


def check_readable(path: str) -> None:
    """Raise `Overreach` for what Labelbus hands nobody."""
    if not _SAFE.fullmatch(path) or _KEPT_BACK.search(path):
        raise Overreach(f"Labelbus does not hand out {path}.")


def is_classifying(request: Request, path: str) -> bool:
    """Tell whether a picture is to be classified, which changes nothing although it is a POST."""
    return request.method == "POST" and _CLASSIFY.fullmatch(path) is not None


async def body_of(request: Request, path: str) -> bytes:
    """Read a request's body, with or without a length in its header. Raises `Overreach` for a huge one."""
    body = bytearray()
    declared = int(request.headers.get("content-length") or 0)
    async for piece in request.stream():
        body += piece
        if max(declared, len(body)) > MOST_BYTES:
            raise Overreach(f"The block sent {request.method} {path} more than {MOST_BYTES >> 20} MiB.")
    return bytes(body)


async def classified(client: StudioClient, path: str, request: Request) -> Response:
    """Have an impulse classify a picture, in whatever form it came. Raises `Overreach`, `StudioError`."""
    kind = request.headers.get("content-type", "")
    call = Call(
        route="classify-image",
        path=path,
        method="POST",
        params=dict(request.query_params),
        content=(await body_of(request, path), kind),
    )
    answer = await client.relay(call)
    return Response(answer.content, media_type=answer.kind)


async def read(client: StudioClient, path: str, query: Mapping[str, str]) -> Response:
    """Hand on a read. Raises `Overreach`, `StudioError`."""
    check_readable(path)
    answer = await client.relay(Call(route="relay", path=path, params=query))
    return Response(answer.content, media_type=answer.kind)


async def asked_elsewhere(client: StudioClient, path: str, request: Request) -> Response:
    """Ask another project by its key, which the block was given as a secret.

    Nothing is written there. Raises `Overreach`, `StudioError`.
    """
    if is_classifying(request, path):
        return await classified(client, path, request)
    if request.method not in ("GET", "HEAD"):
        raise Overreach(
            f"The block tried {request.method} {path} by another project's key; it may only read."
        )
    if _PROJECT.fullmatch(path):
        answer = await client.ask(Call(route="relay", path=path, params=dict(request.query_params)))
        return Response(to_json(without_keys(answer)), media_type="application/json")
    return await read(client, path, dict(request.query_params))


def without_keys(project: Mapping[str, object]) -> dict[str, object]:
    """Return what Studio says of a project, less its development keys."""
    return {**project, "developmentKeys": {}} if "developmentKeys" in project else dict(project)
