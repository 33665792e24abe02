"""Errors of the HTTP API as `application/problem+json` (RFC 9457)."""

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from labelbus_ledger.errors import SecretUnavailable
from labelbus_runtime.errors import Unavailable
from starlette.exceptions import HTTPException as AnyHttpException

_TITLES = {
    401: "Not let in", 404: "Not found", 409: "Conflict", 422: "Not understood", 501: "Not set up",
    502: "Studio refuses", 503: "Away",
}  # fmt: skip


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> HTTPException:
    """Return what a route raises: fact, subject, remedy in `detail`."""
    return HTTPException(status, detail, headers)


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""

    @app.exception_handler(AnyHttpException)
    async def http(request: Request, error: AnyHttpException) -> JSONResponse:
        return _answer(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        return _answer(422, "; ".join(faults), {})

    @app.exception_handler(Unavailable)
    async def away(request: Request, error: Unavailable) -> JSONResponse:
        return _answer(503, str(error), {"Retry-After": "5"})

    @app.exception_handler(SecretUnavailable)
    async def unsealed(request: Request, error: SecretUnavailable) -> JSONResponse:
        return _answer(501, str(error), {})


def _answer(status: int, detail: str, headers: dict[str, str]) -> JSONResponse:
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
