"""The one client of vision language models: OpenAI's chat completions, wherever they are served."""

import asyncio
import base64
import json
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from labelbus_contracts.v1.events import Usage
from labelbus_labeling.paid import (
    Answer,
    Estimate,
    Prices,
    RateHeaders,
    image_tokens,
    most_image_tokens,
    shutdown_notice,
)
from labelbus_runtime.errors import RetryLater
from pydantic import ValidationError

from labelbus_relabeler.completions import Completion
from labelbus_relabeler.faults import NO_SCHEMA, mapped
from labelbus_relabeler.questions import Question
from labelbus_relabeler.settings import ProviderSettings

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

_log = logging.getLogger(__name__)
_THINKING_TOKENS: Final = 8192
"""Room for what a model thinks before it speaks, where it was not told to think nothing."""
_THINKERS: Final = ("gpt-5", "gpt-6", "o1", "o3", "o4")
_FRAMING_TOKENS: Final = 32
_CONNECT_TIMEOUT_S: Final = 10.0
_IN_PLACE_S: Final = 10.0
"""How long short faults are tried again in place, in all."""
_NO_KEY: Final = "none"
"""What the SDK sends to a server that wants no key."""
_PASSES: Final = frozenset({"provider-busy", "provider-unreachable"})


class Provider:
    """Asks one provider. The SDK's own retries are off: they would hide from budgets and limits."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        prices: Prices | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._prices = prices or Prices()
        self._sleep = sleep
        self._clock = clock
        self._client: AsyncOpenAI | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._named: set[str] = set()
        self._schemaless: set[str] = set()

    @property
    def name(self) -> str:
        """Name who answers and bills."""
        return self._settings.provider

    @property
    def path(self) -> str:
        """Tell its servers of one host apart, whose models may have one name."""
        return self._settings.path

    def model_for(self, asked: str | None, default: str) -> str:
        """Return the model: a job's own, else the environment's, else the labeler's default.

        The first time that a model is named, warn where it is about to be switched off.
        """
        model = self._settings.model_for(asked, default)
        if model not in self._named:
            self._named.add(model)
            if (notice := shutdown_notice(model)) is not None:
                _log.warning(notice)
        return model

    def effort_for(self, model: str, asked: str | None) -> str | None:
        """Return the reasoning effort that is sent; None sends none."""
        return self._settings.effort_for(model, asked)

    async def open(self, model: str) -> None:
        """Connect, calling nothing yet; warn of a model that is about to be switched off.

        Raises `SettingsError`.
        """
        self._settings.check_key()
        self.model_for(None, model)
        self._client = await asyncio.to_thread(_client, self._settings)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def worst(self, question: Question, model: str, effort: str | None) -> Estimate:
        """Return the most that a call may take.

        How a model counts pictures that no rule is known for is guessed for its tokens; for its cost it
        counts as the dearest one.
        """
        picture = question.picture
        said = (question.system, question.text, question.reminder, _form_in_words(question))
        said_tokens = _FRAMING_TOKENS + sum(len(text.encode()) for text in said)  # one byte each at least
        shown = (model, picture.width, picture.height, question.detail)
        output = _output_tokens(question, model, effort)
        most = self._prices.worst(
            model, input_tokens=said_tokens + most_image_tokens(*shown), output_tokens=output
        )
        return replace(most, input_tokens=said_tokens + image_tokens(*shown))

    async def answer(
        self, question: Question, model: str, effort: str | None, *, patience: float = 1.0
    ) -> Answer:
        """Ask, however useless the answer is; `patience` stretches the timeout.

        A model that takes no schema is told the form in words. Faults that pass are tried again within
        10 s. Raises `RetryLater`, `SampleRefused`.
        """
        started, attempt = self._clock(), 0
        while True:
            try:
                async with self._slots:
                    has_schema = question.schema is not None and model not in self._schemaless
                    body = _body(question, model, effort, has_schema=has_schema)
                    return await self._asked(question, model, effort, body, patience)
            except RetryLater as error:
                if error.code == NO_SCHEMA and has_schema:
                    self._forgo_schemas(model)
                    continue
                attempt += 1
                wait_s = max(error.after_s or 0.0, 0.25 * 2**attempt) * random.uniform(1.0, 1.25)  # noqa: S311 - spreads retries, keeps no secret
                if error.code not in _PASSES or self._clock() - started + wait_s > _IN_PLACE_S:
                    raise
            await self._sleep(wait_s)

    async def _asked(
        self, question: Question, model: str, effort: str | None, body: dict[str, Any], patience: float
    ) -> Answer:
        started = self._clock()
        response = await self._post(body, model, self._settings.timeout_s * patience)
        completion = self._read(response.content)
        usage = self._used(completion, model) or _assumed(self.worst(question, model, effort))
        return Answer(
            completion.text,
            usage.model_copy(update={"seconds": self._clock() - started}),
            completion.model or model,
            limits=RateHeaders.read(dict(response.headers)),
        )

    def _forgo_schemas(self, model: str) -> None:
        """Remember a model that takes none."""
        if model not in self._schemaless:
            self._schemaless.add(model)
            _log.warning(
                "%s takes no JSON schema for %s: answers are asked for in words, and checked.",
                self.name,
                model,
            )

    async def _post(self, body: dict[str, Any], model: str, patience_s: float) -> "httpx2.Response":
        import httpx2
        import openai

        if self._client is None:
            raise RuntimeError("the provider is not open")
        try:
            async with asyncio.timeout(patience_s + _CONNECT_TIMEOUT_S):
                # the SDK's own method walks through body and answer by their types: half of a call's CPU
                return await self._client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    body=body,
                    options={"timeout": patience_s},
                )
        except openai.OpenAIError as error:
            key = "" if self._client.api_key == _NO_KEY else self._client.api_key
            raise mapped(error, provider=self.name, model=model, patience_s=patience_s, key=key) from error
        except TimeoutError as error:
            fact = f"{self.name} did not answer within {patience_s:g} s."
            raise RetryLater(fact, code="timeout") from error

    def _read(self, body: bytes) -> Completion:
        try:
            return Completion.model_validate_json(body)
        except ValidationError as error:
            fact = f"{self.name} gave an answer that is no chat completion. Check OPENAI_BASE_URL."
            raise RetryLater(fact, code="lost-answer") from error

    def _used(self, completion: Completion, model: str) -> Usage | None:
        """Return what an answer took, as far as its server says."""
        if completion.tokens is None:
            return None
        taken, given = completion.tokens
        usage = Usage(input_tokens=taken, output_tokens=given)
        cost_usd = self._prices.cost(
            self._prices.billed(asked=model, answered=completion.model or model),
            usage,
            cached_tokens=completion.cached_tokens,
            written_tokens=completion.written_tokens,
        )
        return usage.model_copy(update={"cost_usd": cost_usd})


def _client(settings: ProviderSettings) -> "AsyncOpenAI":
    """Make the SDK's client. Importing the SDK takes a second, so this runs in a thread."""
    import httpx2
    from openai import AsyncAzureOpenAI, AsyncOpenAI

    http = httpx2.AsyncClient(
        limits=httpx2.Limits(max_connections=settings.concurrency),
        timeout=httpx2.Timeout(settings.timeout_s, connect=_CONNECT_TIMEOUT_S),
    )
    if settings.azure_endpoint and settings.azure_api_key:
        return AsyncAzureOpenAI(
            azure_endpoint=settings.azure_endpoint,
            azure_deployment=settings.azure_deployment,
            api_version=settings.azure_api_version,
            api_key=settings.azure_api_key.get_secret_value(),
            max_retries=0,
            http_client=http,
        )
    return AsyncOpenAI(
        api_key=settings.api_key.get_secret_value() if settings.api_key else _NO_KEY,
        base_url=settings.base_url or "https://api.openai.com/v1",
        max_retries=0,
        http_client=http,
    )


def _assumed(worst: Estimate) -> Usage:
    """Count an answer whose usage nobody tells at its worst."""
    cost_usd = 0.0 if math.isinf(worst.cost_usd) else worst.cost_usd
    return Usage(input_tokens=worst.input_tokens, output_tokens=worst.output_tokens, cost_usd=cost_usd)


def _form_in_words(question: Question) -> str:
    if question.schema is None:
        return ""
    return f"Answer with nothing but JSON of this schema: {json.dumps(question.schema, ensure_ascii=False)}"


def _body(question: Question, model: str, effort: str | None, *, has_schema: bool) -> dict[str, Any]:
    picture = question.picture
    encoded = base64.b64encode(picture.data).decode("ascii")
    url = f"data:{picture.media_type};base64,{encoded}"
    texts = [question.text, "" if has_schema else _form_in_words(question), question.reminder]
    content = [{"type": "text", "text": text} for text in texts if text]
    content.append({"type": "image_url", "image_url": {"url": url, "detail": question.detail}})  # type: ignore[dict-item]
    messages: list[dict[str, object]] = [{"role": "user", "content": content}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "max_completion_tokens": _output_tokens(question, model, effort),
    }
    if has_schema:
        form = {"name": "answer", "strict": True, "schema": dict(question.schema or {})}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if effort is not None:
        body["reasoning_effort"] = effort
    return body


def _output_tokens(question: Question, model: str, effort: str | None) -> int:
    thinks = model.startswith(_THINKERS) if effort is None else effort != "none"
    return question.max_output_tokens + (_THINKING_TOKENS if thinks else 0)
