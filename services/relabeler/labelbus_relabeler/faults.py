"""What the openai SDK raises, as the runtime's errors: the one point where foreign errors are mapped."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from labelbus_labeling.paid.headers import retry_after_s
from labelbus_runtime.errors import RetryLater, SampleRefused

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAIError

NO_SCHEMA: Final = "no-schema"
"""The code of a fault that asking in words instead of by a JSON schema may mend."""
_NO_MONEY: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"}
)
_POLICY: Final = frozenset({"content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation"})
_SETUP: Final = frozenset(
    {
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "invalid_json_schema",
        "model_not_found",
    }
)
_SETUP_REMEDY: Final = (
    "Correct OPENAI_MODEL and resume the job; a model that the action names needs another job."
)
_ADDRESS_REMEDY: Final = (
    "Correct OPENAI_BASE_URL, which ends in /v1 in most cases, or OPENAI_MODEL; at Azure "
    "AZURE_OPENAI_ENDPOINT or AZURE_OPENAI_DEPLOYMENT. Then resume the job."
)
_SCHEMA_WORDS: Final = ("response_format", "response format", "json_schema", "structured output")
_UNSENT: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)
"""What httpx2 raises before a question is sent. What was sent may be billed, answered or not."""
_LATE: Final = frozenset({408, 504, 524})
"""The model was asked, but a server before it did not wait: the answer may be billed."""
_LONGEST_WAIT_S: Final = 900.0
"""Who is told to wait for longer asks again after that: the header may be wrong, limits may be raised."""
_SHOWN: Final = 200
"""Characters of a provider's message that an error repeats."""


def mapped(
    error: "OpenAIError", *, provider: str, model: str, patience_s: float, key: str
) -> RetryLater | SampleRefused:
    """Return what the runtime does about a failed call of `model`. Providers may repeat our `key`."""
    import openai

    cause = type(error.__cause__ or error).__name__
    if cause in _UNSENT:
        return RetryLater(f"{provider} cannot be reached: {cause}.", code="provider-unreachable")
    if isinstance(error, openai.APITimeoutError):
        return RetryLater(f"{provider} did not answer within {patience_s:g} s.", code="timeout")
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, provider, model, key)
    if isinstance(error, openai.APIConnectionError):
        fact = f"The connection to {provider} broke before its answer: {cause}."
        return RetryLater(fact, code="lost-answer")
    fact = f"{provider} gave an answer that cannot be read: {shortened(_hidden(str(error), key))}."
    return RetryLater(f"{fact} Check OPENAI_BASE_URL.", code="lost-answer")


def shortened(text: str) -> str:
    """Return a text in one line, cut to what an error may repeat."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _by_status(error: "APIStatusError", provider: str, model: str, key: str) -> RetryLater | SampleRefused:
    status, code, said = error.status_code, _code(error), _said(error, key)
    headers: Mapping[str, str] = error.response.headers
    if code in _NO_MONEY or status == 402:
        fact = f"The account at {provider} has no quota left ({said})."
        return RetryLater(f"{fact} Add credit, then resume the job.", scope="job", code="provider-quota")
    if _is_policy(error, code, said):
        fact = f"{provider} refused the image by its content policy: {said}."
        return SampleRefused(f"{fact} Remove the sample from the job.", code="content-policy")
    if status in {400, 422} and _is_about_schema(error, code, said):
        return RetryLater(
            f"{_unable(provider, model, status, said)} {_SETUP_REMEDY}", scope="job", code=NO_SCHEMA
        )
    if code in _SETUP:
        return RetryLater(
            f"{_unable(provider, model, status, said)} {_SETUP_REMEDY}", scope="job", code="provider-setup"
        )
    if status < 400 or status in {404, 405}:
        return RetryLater(
            f"{_unable(provider, model, status, said)} {_ADDRESS_REMEDY}", scope="job", code="provider-setup"
        )
    if status in {401, 403}:
        fact = f"{provider} refused the key (HTTP {status}: {said})."
        return RetryLater(f"{fact} Correct it, then resume the job.", scope="job", code="provider-key")
    if status == 429:
        return RetryLater(
            f"{provider} takes no more calls of {model} now: {said}.",
            after_s=_wait_s(headers),
            code="rate",
        )
    if status in _LATE:
        fact = f"{provider} had no answer in time (HTTP {status}): {said}."
        return RetryLater(fact, after_s=_wait_s(headers), code="timeout")
    if status in {409, 425} or status >= 500:
        fact = f"{provider} is busy or failing (HTTP {status}): {said}."
        return RetryLater(fact, after_s=_wait_s(headers), code="provider-busy")
    fact = f"{provider} refused the question or its image (HTTP {status}): {said}."
    return SampleRefused(f"{fact} Look at the sample, or remove it from the job.", code="provider-refused")


def _unable(provider: str, model: str, status: int, said: str) -> str:
    return f"{provider} cannot answer with {model} as it is asked (HTTP {status}: {said})."


def _is_policy(error: "APIStatusError", code: str, said: str) -> bool:
    """Tell whether the image was found offensive; routers answer that with 403, as for a wrong key."""
    return code in _POLICY or (error.status_code in {400, 403} and "flagged" in said.lower())


def _is_about_schema(error: "APIStatusError", code: str, said: str) -> bool:
    """Tell whether a server knows no structured output; what is wrong with a schema is another matter."""
    about = f"{error.param or ''} {said}".lower()
    return code != "invalid_json_schema" and any(word in about for word in _SCHEMA_WORDS)


def _wait_s(headers: Mapping[str, str]) -> float | None:
    after_s = retry_after_s(headers)
    return None if after_s is None else min(after_s, _LONGEST_WAIT_S)


def _code(error: "APIStatusError") -> str:
    return str(error.code or error.type or "")


def _said(error: "APIStatusError", key: str) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return shortened(_hidden(str(message or error.message), key)).rstrip(".")


def _hidden(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text
