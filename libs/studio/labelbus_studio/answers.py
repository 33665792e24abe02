"""What an answer of Studio means: status first, then JSON-ness, then `success`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx
from pydantic_core import from_json

from labelbus_studio.errors import (
    JobNotFound,
    KeyRefused,
    SampleNotFound,
    StudioConfused,
    StudioError,
    StudioRefused,
    StudioUnavailable,
)
from labelbus_studio.reaching import cause_of

Json = dict[str, object]
Param = str | int | float | bool | None

_BUSY = frozenset({408, 421, 425, 429})
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# The words of Studio's refusals are not documented; these cover what its clients and blocks show.
_ABOUT_KEY = re.compile(
    r"api[ _-]?key|\bjwt\b|permission|unauthori[sz]ed|not authori[sz]ed|forbidden|access denied"
    r"|token (is )?(invalid|expired)|invalid token|not logged in",
    re.IGNORECASE,
)
_ABOUT_LOAD = re.compile(r"rate limit|too many requests|try again later|temporarily", re.IGNORECASE)
_ABOUT_PROCESSING = re.compile(r"(still|is|being|not finished) process(ing|ed)", re.IGNORECASE)
_PROCESSING_S = 30.0
_ABOUT_SAMPLE = re.compile(
    r"no such (raw data )?sample|sample\b.*(not found|not exist|n't exist|deleted)"
    r"|(could|can) ?(not|n't) find\b.*sample|unknown sample|invalid sample id|^(sample )?not found",
    re.IGNORECASE,
)

_ABOUT_JOB = re.compile(
    r"no such job|unknown job|invalid job id|\bjob\b.*(not found|not exist|n't exist|deleted)"
    r"|(could|can) ?(not|n't) find\b.*\bjob\b",
    re.IGNORECASE,
)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `route` names it for counts and logs; `repeatable` calls only read or set state.

    `upload` is the file name, bytes and media type of a multipart part named `image`; `content` a whole body
    with its media type, of a call that is handed on.
    """

    route: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, Param] | None = None
    body: Mapping[str, object] | None = None
    upload: tuple[str, bytes, str] | None = None
    content: tuple[bytes, str] | None = None
    sample: int | None = None
    repeatable: bool = True
    purpose: str | None = None

    @property
    def subject(self) -> str:
        """Name the call for people."""
        return self.route if self.sample is None else f"{self.route} of sample {self.sample}"

    @property
    def changes_a_sample(self) -> bool:
        """Tell whether it writes a sample, which was read just now: it goes before calls that read."""
        return self.method == "POST" and self.sample is not None

    @property
    def count_as(self) -> str:
        """Name the call for the counter."""
        return f"{self.route}:{self.purpose}" if self.purpose else self.route


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer as it came, for somebody who reads it himself. `kind` is its media type."""

    kind: str
    content: bytes


class Fault(Exception):
    """An attempt that may be repeated, and the `error` to raise if it is not.

    `undone` is true where Studio certainly did nothing, so that even starting a job may be repeated.
    """

    def __init__(self, error: StudioError, *, after_s: float | None = None, undone: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s
        self.undone = undone


def read_json(call: Call, response: httpx.Response) -> Json:
    """Return the answer's JSON object with `success: true`. Raises `Fault`, `StudioRefused`."""
    _check(call, response)
    answer = _object(response.content)
    if answer is None or not isinstance(answer.get("success"), bool):
        raise Fault(
            StudioConfused(
                f"Studio's answer to {call.subject} is not the JSON that it promises. If it stays so, check "
                "EI_API_ENDPOINT for a proxy or a login page."
            )
        )
    if not answer["success"]:
        raise _refusal(call, answer.get("error"), response)
    return answer


def read_media(call: Call, response: httpx.Response) -> bytes:
    """Return the bytes of an image, a sound or a file. Raises `Fault`, `StudioRefused`."""
    _check(call, response)
    if response.content.startswith(b"{"):  # whatever it is called; acquisition envelopes are JSON too
        answer = _object(response.content)
        if answer is not None and answer.get("success") is False:
            raise _refusal(call, answer.get("error"), response)
    if not response.content:
        raise StudioRefused(
            f"Studio holds no bytes for {call.subject}: it is empty. "
            "Upload it again, or remove it from the job."
        )
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("text/"):
        raise Fault(StudioConfused(f"Studio answered {call.subject} with {kind} instead of the bytes."))
    return response.content


def read_whole(call: Call, response: httpx.Response) -> Whole:
    """Return an answer unread, whatever it is about. Raises `Fault`, `StudioRefused` by its status."""
    _check(call, response)
    return Whole(response.headers.get("content-type", "application/octet-stream"), response.content)


def unreachable(call: Call, error: Exception) -> Fault:
    """Map what the HTTP client raises, by its type: the texts of some show header values."""
    undone = isinstance(error, _NEVER_SENT)
    doubt = "" if undone or call.repeatable else " It may have been done: look before repeating it."
    why = cause_of(error, "EI_API_ENDPOINT")
    told = f": {why}" if why else "."
    text = f"Studio cannot be reached ({type(error).__name__} at {call.subject}){told}{doubt}"
    return Fault(StudioUnavailable(text), undone=undone)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read `Retry-After`: seconds or an HTTP date. Nonsense is None, the past is 0."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _check(call: Call, response: httpx.Response) -> None:
    """Let only whole answers with status 200 to 299 pass."""
    status = response.status_code
    if status in _BUSY or status >= 500:
        raise _busy(call, response)
    if 300 <= status < 400:
        raise StudioRefused(
            f"Studio redirects {call.subject} to another address. Set EI_API_ENDPOINT to where it lives.",
            status,
        )
    if status >= 400:
        answer = _object(response.content)
        raise _refusal(call, answer.get("error") if answer else None, response)
    promised = response.headers.get("content-length", "")
    encoded = "content-encoding" in response.headers
    if promised.isdigit() and not encoded and len(response.content) != int(promised):
        raise Fault(StudioConfused(f"Studio's answer to {call.subject} was cut short."))


def _busy(call: Call, response: httpx.Response) -> Fault:
    after_s = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
    text = f"Studio is too busy or broken for {call.subject} (HTTP {response.status_code}). Try again later."
    return Fault(StudioUnavailable(text, after_s), after_s=after_s, undone=response.status_code == 429)


def _refusal(call: Call, error: object, response: httpx.Response) -> StudioError | Fault:
    status = response.status_code
    said = error.rstrip(" .") if isinstance(error, str) and error else f"HTTP {status} without a reason"
    if status in (401, 403) or _ABOUT_KEY.search(said):
        return KeyRefused(f"Studio refuses the API key: {said}. Give the job a valid key.", status)
    if status == 200 and _ABOUT_LOAD.search(said):
        return Fault(StudioUnavailable(f"Studio is too busy for {call.subject}: {said}."), undone=True)
    if call.sample is not None and _ABOUT_PROCESSING.search(said):
        text = f"Sample {call.sample} is not ready: {said}. Come back when Studio has processed it."
        return StudioUnavailable(text, _PROCESSING_S)
    if _ABOUT_JOB.search(said):
        return JobNotFound(f"Studio refuses {call.subject}: {said}. Name a job of this project.", status)
    if call.sample is not None and (_ABOUT_SAMPLE.search(said) or (status == 404 and isinstance(error, str))):
        return SampleNotFound(f"Sample {call.sample} is gone: {said}. Remove it from the job.", status)
    return StudioRefused(f"Studio refuses {call.subject}: {said}.", status)


def _object(content: bytes) -> Json | None:
    try:
        answer = from_json(content)
    except ValueError:
        answer = _with_cut_letters(content)
    return answer if isinstance(answer, dict) else None


def _with_cut_letters(content: bytes) -> object:
    """Read JSON in which a text was cut in the middle of a letter; None for what is no JSON.

    JavaScript cuts texts by half letters (lone surrogates), and one such name would hide a page of samples.
    """
    try:
        whole = json.dumps(json.loads(content), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return json.loads(_LONE_SURROGATE.sub("\ufffd", whole))
