"""Errors as `application/problem+json` (RFC 9457): the one line that a person reads, with what to do."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from pipeline.errors import (
    Abandoned,
    DuplicateContent,
    InvalidWeights,
    NotAllowed,
    NotFound,
    NotSignedIn,
    PartsMissing,
    PoselineError,
    QuotaReached,
    RunFailed,
    ServerAway,
    ServiceUnavailable,
    SourceGone,
    StoreFull,
    TooManyAttempts,
    UnknownLane,
    UnknownModel,
    UnknownTeam,
    UploadComplete,
    UsageError,
    VideoRejected,
)
from pipeline.logs import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_DOCUMENT = "/api/v1/openapi.json"

#: Where Poseline's servers are, and what is wrong with them, is for whoever reads the log.
_AWAY = "something that this Poseline needs does not answer; it is being looked for again: try again in a moment"
#: What is wrong with a body as a whole, by what Pydantic calls it.
_OF_THE_BODY = {
    "json_invalid": "this is no JSON",
    "model_attributes_type": "this is no JSON object; send one, with Content-Type: application/json",
}
#: The first that fits counts.
_STATUS: tuple[tuple[type[PoselineError], HTTPStatus], ...] = (
    (NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (TooManyAttempts, HTTPStatus.TOO_MANY_REQUESTS),
    (NotFound, HTTPStatus.NOT_FOUND),
    (UnknownTeam, HTTPStatus.NOT_FOUND),
    (UnknownModel, HTTPStatus.NOT_FOUND),
    (UnknownLane, HTTPStatus.NOT_FOUND),
    (QuotaReached, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (PartsMissing, HTTPStatus.CONFLICT),
    (UploadComplete, HTTPStatus.CONFLICT),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (DuplicateContent, HTTPStatus.CONFLICT),
    (RunFailed, HTTPStatus.CONFLICT),
    (InvalidWeights, HTTPStatus.CONFLICT),
    (VideoRejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SourceGone, HTTPStatus.GONE),
    (ServiceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Abandoned, HTTPStatus.REQUEST_TIMEOUT),
)


def problem(status: int, detail: str, name: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """One problem.

    Args:
        name: of the kind of error, for programs.
        detail: for people.
    """
    body = {"type": f"urn:poseline:{name}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse({**body, **more}, status, headers, MEDIA_TYPE)


def range_outside(size_bytes: int, headers: dict[str, str]) -> JSONResponse:
    """The answer to who asks for bytes that are not there."""
    headers = {**headers, "Content-Range": f"bytes */{size_bytes}"}
    detail = f"there are no such bytes: it has {size_bytes}"
    return problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, "range-not-satisfiable", headers)


def handle_problems(app: FastAPI) -> None:
    """Answer every error of this application as a problem."""
    app.add_exception_handler(PoselineError, _poseline)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _poseline(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PoselineError)
    answer = answer_to(error)
    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, ServerAway):
        log.error("request_failed", path=_path(request), error=error.message)
    return answer


def answer_to(error: PoselineError) -> JSONResponse:
    """The problem that an error is."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    detail = _AWAY if isinstance(error, ServerAway) else error.message
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(math.ceil(error.wait_s))
    if isinstance(error, ServiceUnavailable):
        headers["Retry-After"] = "60" if isinstance(error, StoreFull) else "5"
    kind = ServiceUnavailable if isinstance(error, ServerAway) else type(error)
    return problem(status, detail, _name(kind), headers)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"field": "body", "problem": _OF_THE_BODY[one["type"]]}
        if one["type"] in _OF_THE_BODY
        else {
            "field": ".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0]),
            "problem": "there is no such field" if one["type"] == "extra_forbidden" else one["msg"],
        }
        for one in error.errors()
    ]
    first = wrong[0]
    detail = f"{first['field']}: {first['problem']}; {_DOCUMENT} says what this endpoint takes"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid-request", fields=wrong)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = {
        HTTPStatus.BAD_REQUEST: "the body cannot be read as JSON",
        HTTPStatus.NOT_FOUND: f"there is nothing at this address; {_DOCUMENT} lists what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"this address does not take this method; {_DOCUMENT} lists what there is",
    }.get(HTTPStatus(error.status_code), str(error.detail))
    headers = dict(error.headers or {})
    return problem(error.status_code, detail, HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), headers)


def unexpected() -> JSONResponse:
    """The answer to an error that nobody expected."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the server's log says what", "unexpected-error"
    )


def log_unexpected(scope: Scope, error: Exception) -> Exception:
    """Log where an error came from, and the first line of its message. Returns one that holds no more than that.

    The lines after it are the database's: the row that it refused, with hashes of passwords and addresses.
    """
    plain = RuntimeError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
    plain.__cause__, plain.__suppress_context__ = None, True
    path = getattr(scope.get("route"), "path", "unknown")
    log.error("request_failed", path=path, exc_info=(type(plain), plain, error.__traceback__))
    return plain


def _path(request: Request) -> str:
    """The path as it was declared: the one that was asked for may hold the token of a link."""
    return getattr(request.scope.get("route"), "path", "unknown")


def _name(kind: type[Exception]) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")
