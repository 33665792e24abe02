"""The one client of vision language models: OpenAI's chat completions, wherever they are served."""

import asyncio
import base64
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from labelbus_labeling.paid import Answer, Estimate, Prices, RateHeaders, image_tokens, shutdown_notice
from labelbus_runtime.errors import RetryLater
from pydantic import ValidationError

from labelbus_relabeler.completions import Completion
from labelbus_relabeler.faults import mapped
from labelbus_relabeler.questions import Question
from labelbus_relabeler.settings import ProviderSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_log = logging.getLogger(__name__)
_THINKING_TOKENS: Final = 8192
"""Room for what a model thinks before it speaks, where it was not told to think nothing."""
_THINKERS: Final = ("gpt-5", "gpt-6", "o1", "o3", "o4")
_FRAMING_TOKENS: Final = 32
_CONNECT_TIMEOUT_S: Final = 10.0
_IN_PLACE_S: Final = 10.0
"""How long short faults are tried again in place, in all."""
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

    @property
    def name(self) -> str:
        """Name who answers and bills."""
        return self._settings.provider

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
        """Return the most that a call may take."""
        picture = question.picture
        said = (question.system, question.text, question.reminder, str(question.schema or ""))
        bytes_said = sum(len(text.encode()) for text in said)  # a token is one byte at least
        seen = image_tokens(model, picture.width, picture.height, question.detail)
        return self._prices.worst(
            model,
            input_tokens=_FRAMING_TOKENS + seen + bytes_said,
            output_tokens=_output_tokens(question, model, effort),
        )

    async def answer(
        self, question: Question, model: str, effort: str | None, *, patience: float = 1.0
    ) -> Answer:
        """Ask, however useless the answer is; `patience` stretches the timeout.

        Raises `RetryLater`, `SampleRefused`. Faults that pass are tried again within 10 s.
        """
        started, attempt = self._clock(), 0
        while True:
            try:
                async with self._slots:
                    return await self._ask(question, model, effort, self._settings.timeout_s * patience)
            except RetryLater as error:
                attempt += 1
                wait_s = max(error.after_s or 0.0, 0.25 * 2**attempt) * random.uniform(1.0, 1.25)  # noqa: S311 - spreads retries, keeps no secret
                if error.code not in _PASSES or self._clock() - started + wait_s > _IN_PLACE_S:
                    raise
            await self._sleep(wait_s)

    async def _ask(self, question: Question, model: str, effort: str | None, patience_s: float) -> Answer:
        import httpx2
        import openai

        if self._client is None:
            raise RuntimeError("the provider is not open")
        started = self._clock()
        try:
            async with asyncio.timeout(patience_s + _CONNECT_TIMEOUT_S):
                # the SDK's own method walks through body and answer by their types: half of a call's CPU
                response = await self._client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    body=_body(question, model, effort),
                    options={"timeout": patience_s},
                )
        except openai.OpenAIError as error:
            key = self._client.api_key
            raise mapped(error, provider=self.name, model=model, patience_s=patience_s, key=key) from error
        except TimeoutError as error:
            fact = f"{self.name} did not answer within {patience_s:g} s."
            raise RetryLater(fact, code="timeout") from error
        return self._read(response.content, model, dict(response.headers), self._clock() - started)

    def _read(self, body: bytes, model: str, headers: dict[str, str], seconds: float) -> Answer:
        try:
            completion = Completion.model_validate_json(body)
        except ValidationError as error:
            fact = f"{self.name} gave an answer that is no chat completion. Check OPENAI_BASE_URL."
            raise RetryLater(fact, code="lost-answer") from error
        usage, answered = completion.used(seconds), completion.model or model
        cached, written = completion.cached_tokens, completion.written_tokens
        costs = (
            self._prices.cost(name, usage, cached_tokens=cached, written_tokens=written)
            for name in (answered, model)
        )
        cost = next((one for one in costs if one), 0.0)
        usage = usage.model_copy(update={"cost_usd": cost})
        return Answer(completion.text, usage, answered, limits=RateHeaders.read(headers))


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
        api_key=settings.api_key.get_secret_value() if settings.api_key else "none",
        base_url=settings.base_url or "https://api.openai.com/v1",
        max_retries=0,
        http_client=http,
    )


def _body(question: Question, model: str, effort: str | None) -> dict[str, Any]:
    picture = question.picture
    encoded = base64.b64encode(picture.data).decode("ascii")
    url = f"data:{picture.media_type};base64,{encoded}"
    texts = [question.text, question.reminder]
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
    if question.schema is not None:
        form = {"name": "answer", "strict": True, "schema": dict(question.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if effort is not None:
        body["reasoning_effort"] = effort
    return body


def _output_tokens(question: Question, model: str, effort: str | None) -> int:
    thinks = model.startswith(_THINKERS) if effort is None else effort != "none"
    return question.max_output_tokens + (_THINKING_TOKENS if thinks else 0)
