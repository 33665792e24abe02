"""The ASGI application: finds the route, lets faults strike, wraps answers in Studio's envelope."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from labelbus_simulator.call import Call, Reply, Route
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import ConnectionDropped, NotAllowed, Refused
from labelbus_simulator.faults import Fault
from labelbus_simulator.routes import table
from labelbus_simulator.studio import Studio

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_TURNS_TO_CLOSE = 100  # of the event loop; uvicorn complains of answers that end before it knows of the cut
_logger = logging.getLogger(__name__)


class StudioApp:
    """An ASGI 3 application over one Studio; its paths begin with /v1/api. Needs no lifespan."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._table = table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = await _read_body(receive)
        path = scope["path"].removeprefix("/v1") or "/"
        found = self._table.find(scope["method"], path)
        if found is None:
            await _send(send, envelope_error(f"Route not found: {scope['method']} {path}", 404))
            return
        route, values = found
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        call = Call(self.studio, scope["method"], path, values, headers, scope["query_string"], body)
        if path.startswith("/_control"):
            await _send(send, self._answer(route, call))
            return
        await self._serve(route, call, send)

    async def _serve(self, route: Route, call: Call, send: Send) -> None:
        calls, project, sample = self.studio.calls, _number(call, "project"), _number(call, "sample")
        calls.arrived(route.name, sample)
        calls.started()
        try:
            if not self.studio.faults:
                await _send(send, self._answer(route, call))
                return
            path = f"{call.method} {call.url_path}"
            await self._with_faults(
                route, call, send, self.studio.faults.striking(route.name, path, project, sample)
            )
        finally:
            calls.ended()

    async def _with_faults(self, route: Route, call: Call, send: Send, faults: list[Fault]) -> None:
        for fault in faults:
            await self._prepare(fault, call)
        spoiling = next((f for f in faults if f.kind not in ("latency", "edit", "processing")), None)
        if spoiling is None:
            await _send(send, self._answer(route, call))
            return
        reply = self._answer(route, call) if spoiling.applied or spoiling.kind == "truncate" else None
        if spoiling.kind == "drop":
            await _cut(send)
        elif spoiling.kind == "truncate" and reply:
            await _send(send, reply, cut=True)
        else:
            await _send(send, _spoiled(spoiling))

    async def _prepare(self, fault: Fault, call: Call) -> None:
        if fault.kind == "latency":
            spread = self.studio.faults.spread(fault)
            await asyncio.sleep(max(0.0, fault.latency_s + spread))
            return
        target = fault.sample_id if fault.sample_id is not None else _number(call, "sample")
        for project in self.studio.projects.values():
            if target not in project.samples:
                continue
            if fault.kind == "edit":
                project.edit(target, fault.edit)
            elif fault.kind == "processing":
                project.samples[target].is_processing = True

    def _answer(self, route: Route, call: Call) -> Reply:
        try:
            answer = route.handler(call)
        except NotAllowed as error:
            return envelope_error(str(error), self.studio.options.wrong_key_status)
        except Refused as error:
            return envelope_error(str(error))
        except Exception:
            _logger.exception("The simulator failed on %s %s", call.method, call.url_path)
            return envelope_error("Internal error of the simulator, see its log", 500)
        if route.writes:
            self.studio.calls.wrote(route.name, _number(call, "project"), _number(call, "sample"))
        return answer if isinstance(answer, Reply) else _json({"success": True, **(answer or {})})


def envelope_error(text: str, status: int = 200) -> Reply:
    """Studio's refusal, which by default hides inside HTTP 200."""
    return _json({"success": False, "error": text}, status)


def _json(doc: Doc, status: int = 200) -> Reply:
    return Reply(json.dumps(doc, separators=(",", ":")).encode(), status=status)


def _spoiled(fault: Fault) -> Reply:
    if fault.kind == "refuse":
        return envelope_error(fault.message)
    if fault.kind == "not_json":
        return Reply(b"<html><body>Bad gateway</body></html>", "text/html", fault.status)
    if fault.kind == "error":
        return envelope_error(fault.message, fault.status)
    after = [] if fault.retry_after is None else [(b"retry-after", str(fault.retry_after).encode())]
    return Reply(envelope_error("Too many requests").body, status=429, headers=after)


def _number(call: Call, name: str) -> int | None:
    value = call.path.get(name)
    return value if isinstance(value, int) else None


async def _send(send: Send, reply: Reply, *, cut: bool = False) -> None:
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if cut:
        await send(
            {"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True}
        )
        await _cut(send)
        return
    await send({"type": "http.response.body", "body": reply.body})


async def _cut(send: Send) -> None:
    """Close the socket under uvicorn; anything else that drives the application gets an exception."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionDropped("The simulator cut the connection, as a fault asked for.")
    transport.close()
    for _ in range(_TURNS_TO_CLOSE):
        if getattr(cycle, "disconnected", True):
            return
        await asyncio.sleep(0)


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(chunks)
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
