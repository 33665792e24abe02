"""The proxying Studio: what a block takes for Edge Impulse Studio.

Reads go to the real Studio by the project's client, whose key the block never gets; its samples are shown
as their drafts are. Writes to these change the drafts. Nothing is written to the real Studio.
"""

import logging
import re
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from labelbus_contracts.ids import ProjectId, SampleId
from labelbus_ledger.access import as_runtime_error
from labelbus_runtime.errors import RetryLater, SampleRefused, Unavailable
from labelbus_studio.answers import Call
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import StudioError, StudioRefused
from labelbus_studio.fields import rows
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from labelbus_customblock import relaying
from labelbus_customblock.errors import Overreach, WriteRefusal
from labelbus_customblock.listing import narrowed
from labelbus_customblock.overlay import DraftedSample, Json, Overlay
from labelbus_customblock.relaying import (
    asked_elsewhere,
    body_of,
    check_readable,
    classified,
    is_classifying,
    without_keys,
)
from labelbus_customblock.writes import Asked, write

logger = logging.getLogger(__name__)
_PROJECT: Final = re.compile(r"/api/(\d{1,18})(/.*)?")
_PREVIEW: Final = re.compile(r"/raw-data/ai-actions-preview/\d+/proposed-changes")
_SAMPLE: Final = re.compile(r"/raw-data/(\d{1,18})(?:/([a-z]+))?")


@dataclass(frozen=True, slots=True)
class Visit:
    """One run of a block: what it sees and does. `secrets` are values by name, kept out of labels.

    With `narrow_lists` the lists of the project's samples show those of the run only. `elsewhere` are other
    projects, by the key that the block was given for them.
    """

    project_id: ProjectId
    client: StudioClient
    overlay: Overlay
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    narrow_lists: bool = False
    elsewhere: Mapping[str, StudioClient] = field(default_factory=dict, repr=False)


class ProxyingStudio:
    """Implements an ASGI application; several runs of blocks use it at once, each with a key of its own."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}

    def admit(self, visit: Visit) -> str:
        """Return the key by which a run comes in."""
        token = f"ei_{randomness.token_hex(32)}"
        self._visits[token] = visit
        return token

    def dismiss(self, token: str) -> None:
        """Let a run in no more."""
        self._visits.pop(token, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        key, path = request.headers.get("x-api-key", ""), request.url.path.removeprefix("/v1")
        visit = self._visits.get(key)
        try:
            if visit is None:
                return await self._answer_elsewhere(key, path, request)
            if request.method in ("GET", "HEAD"):
                return await _read(visit, path, dict(request.query_params))
            return await _write(visit, path, request)
        except WriteRefusal as error:
            return _refusal(error.status, str(error))
        except StudioError as error:
            status = error.status if isinstance(error, StudioRefused) else 503
            return _refusal(200 if status < 400 else status, str(error))
        except (RetryLater, SampleRefused) as error:
            return _refusal(503 if isinstance(error, RetryLater) else 422, error.reason)
        except Exception as error:  # the ledger is away, or a bug of ours
            said = str(error)
            if not isinstance(error, Unavailable):
                said = f"{type(error).__name__}."
                logger.exception("A block's request could not be answered: %s %s", request.method, path)
            fault = RetryLater(f"Labelbus could not answer the block: {said}", code="block-unanswered")
            if visit is not None:
                visit.overlay.fault = visit.overlay.fault or fault
            return _refusal(503, fault.reason)

    async def _answer_elsewhere(self, key: str, path: str, request: Request) -> Response:
        """Ask another project. Runs that hold its key share it: a fault of it is a fault of theirs."""
        visits = [visit for visit in self._visits.values() if key in visit.elsewhere]
        if visits:
            try:
                return await asked_elsewhere(visits[0].elsewhere[key], path, request)
            except StudioError as error:
                for visit in visits:
                    _remember(visit, None, error)
                raise
        return _refusal(401, "The API key is unknown here: use the EI_PROJECT_API_KEY that is given.")


async def _write(visit: Visit, path: str, request: Request) -> Response:
    within = _within_project(visit, path)
    if within is not None and is_classifying(request, path):
        try:
            return await classified(visit.client, path, request)
        except StudioError as fault:
            _remember(visit, None, fault)
            raise
    asked = Asked(request.method, within or "", path, dict(request.query_params))
    try:
        if within is None:
            raise Overreach(f"The block tried {asked}, which Labelbus does not do for a block.")
        asked = replace(asked, content=await body_of(request, path))
    except Overreach as error:
        visit.overlay.overreach.append(str(error))
        raise
    write(asked, visit.overlay, visit.secrets)
    return _json({"success": True})


async def _read(visit: Visit, path: str, query: dict[str, str]) -> Response:
    query.pop("proposedActionsJobId", None)  # the drafts have what earlier steps propose
    within = _within_project(visit, path)
    if within is None and not path.startswith("/api/projects"):
        raise Overreach(f"A block sees only its own project, {visit.project_id}; it asked for {path}.")
    check_readable(path)
    match = _SAMPLE.fullmatch(within or "")
    sample = visit.overlay.sample(int(match[1])) if match else None
    try:
        if within is not None and _PREVIEW.fullmatch(within):
            return _json({"success": True, "proposedChanges": visit.overlay.proposals()})
        if sample is not None and match is not None and match[2] in ("image", "wav"):
            served = await _media(sample, match[2], query)
            if served is not None:
                return served
        if visit.narrow_lists and within in ("/raw-data", "/raw-data/count"):
            return _json(await narrowed(visit.project_id, visit.client, visit.overlay, path, query))
        if (within == "" or within == "/raw-data") or (match and match[2] is None):
            return _json(await _seen(visit, path, query))
        return await relaying.read(visit.client, path, query)
    except StudioError as error:
        _remember(visit, sample, error)
        raise


async def _media(sample: DraftedSample, what: str, query: Mapping[str, str]) -> Response | None:
    """Answer the bytes that other steps may have fetched already; None where more is asked than those."""
    asked = set(query) - {"cacheKey"}
    try:
        if what == "image" and not asked:
            image = await sample.task.media.image()
            kind = "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
            return Response(image, media_type=kind)
        if what == "wav" and asked == {"axisIx"} and query["axisIx"].isdecimal():
            return Response(await sample.task.media.wav(int(query["axisIx"])), media_type="audio/wav")
    except (RetryLater, SampleRefused) as error:
        sample.fault = error
        raise
    return None


async def _seen(visit: Visit, path: str, query: Mapping[str, str]) -> Json:
    """Return the project, a page of samples or one sample, as the block is to see it."""
    answer = await visit.client.ask(Call(route="relay", path=path, params=query, sample=_number(path)))
    one = answer.get("sample")
    if isinstance(one, dict):
        return answer | {"sample": visit.overlay.overlaid(one)}
    if isinstance(answer.get("samples"), list):
        listed = rows(answer["samples"], "samples")
        return answer | {"samples": [visit.overlay.overlaid(row) for row in listed]}
    return without_keys(answer)


def _number(path: str) -> int | None:
    match = re.search(r"/raw-data/(\d{1,18})$", path)
    return int(match[1]) if match else None


def _within_project(visit: Visit, path: str) -> str | None:
    """Return what is behind the run's own project; None for anything else."""
    match = _PROJECT.fullmatch(path)
    return (match[2] or "").rstrip("/") if match and int(match[1]) == visit.project_id else None


def _remember(visit: Visit, sample: DraftedSample | None, error: StudioError) -> None:
    """Keep why Studio did not answer: where the block then fails, this is the reason."""
    number = None if sample is None else SampleId(sample.task.sample_id)
    fault = as_runtime_error(error, project_id=visit.project_id, sample_id=number)
    if isinstance(fault, RetryLater):
        visit.overlay.fault = fault
    elif sample is not None and fault.code == "gone":
        sample.fault = fault


def _refusal(status: int, error: str) -> Response:
    return _json({"success": False, "error": error}, status)


def _json(answer: Json, status: int = 200) -> Response:
    return Response(to_json(answer), status, media_type="application/json")
