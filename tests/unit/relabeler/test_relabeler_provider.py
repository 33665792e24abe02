"""What providers answer and refuse, and what the runtime does about it."""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.paid import Price, Prices
from labelbus_relabeler.faults import mapped
from labelbus_relabeler.provider import Provider
from labelbus_relabeler.questions import Picture, Question, object_schema
from labelbus_relabeler.settings import ProviderSettings
from labelbus_runtime.errors import RetryLater, SampleRefused, SettingsError
from labelbus_simulator.models import Desk, Mishap, openai_app, serve_model

from .conftest import completion, scene

if TYPE_CHECKING:
    from .conftest import Stand

QUESTION = Question(text="What is this?", picture=Picture(scene(), "image/png", 96, 64), max_output_tokens=20)


async def _no_wait(_: float) -> None:
    return None


async def ask(environ: dict[str, str], *, prices: Prices | None = None, model: str = "simulated") -> str:
    """Ask once, without waiting between tries in place."""
    settings = ProviderSettings.from_environment(environ)
    provider = Provider(settings, prices=prices, sleep=_no_wait)
    await provider.open("gpt-6-luna")
    try:
        return (await provider.answer(QUESTION, model, settings.effort_for(model, None))).text
    finally:
        await provider.close()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://localhost:8000/v1", "localhost:8000"),
        ("https://me:secret@models.test/v1", "models.test"),
        (f"https://{70 * 'x'}.elb.amazonaws.com/v1", f"{46 * 'x'}.elb.amazonaws.com"),
    ],
)
def test_a_provider_is_called_by_its_host(address: str, name: str) -> None:
    """Errors, limits and the ledger name a server as far as they have room, and nobody's login."""
    assert ProviderSettings.from_environment({"OPENAI_BASE_URL": address}).provider == name


@pytest.mark.parametrize(
    ("status", "code", "scope", "named"),
    [
        (401, "invalid_api_key", "job", "provider-key"),
        (403, "", "job", "provider-key"),
        (403, "model_not_found", "job", "provider-setup"),
        (429, "insufficient_quota", "job", "provider-quota"),
        (402, "", "job", "provider-quota"),
        (404, "model_not_found", "job", "provider-setup"),
        (404, "", "job", "provider-setup"),
        (405, "", "job", "provider-setup"),
        (307, "", "job", "provider-setup"),
        (400, "unsupported_parameter", "job", "provider-setup"),
        (429, "rate_limit_exceeded", "sample", "rate"),
    ],
)
async def test_refusals_that_are_not_the_samples(
    stand: "Stand", status: int, code: str, scope: str, named: str
) -> None:
    """Keys, quota and setup concern the job; a rate waits. None is tried again in place."""
    stand.fails(status, code, "Because.", retry_after="7")
    with pytest.raises(RetryLater, match="Because") as fault:
        await ask(stand.environ)
    assert (fault.value.scope, fault.value.code) == (scope, named)
    assert fault.value.after_s == (7 if named == "rate" else None)
    assert len(stand.desk.requests) == 1


@pytest.mark.parametrize(
    ("code", "named"), [("invalid_image", "provider-refused"), ("content_policy_violation", "content-policy")]
)
async def test_a_refused_image_is_the_samples_fault(stand: "Stand", code: str, named: str) -> None:
    """A 400 about the image refuses the sample, with what was said."""
    stand.fails(400, code, "You uploaded an unsupported image.")
    with pytest.raises(SampleRefused, match="unsupported image") as refused:
        await ask(stand.environ)
    assert refused.value.code == named


async def test_a_flagged_image_is_not_the_keys_fault(stand: "Stand") -> None:
    """Routers answer 403 for an image that their moderation flagged: one sample must not stop a job."""
    stand.fails(403, "", "Your chosen model requires moderation and your input was flagged for violence.")
    with pytest.raises(SampleRefused, match="flagged for violence") as refused:
        await ask(stand.environ)
    assert refused.value.code == "content-policy"


@pytest.mark.parametrize("status", [408, 504, 524])
async def test_a_gateway_that_did_not_wait_may_have_cost(stand: "Stand", status: int) -> None:
    """The model was asked: it counts as a timeout, which is not repeated under one reservation."""
    stand.fails(status)
    with pytest.raises(RetryLater, match=f"HTTP {status}") as fault:
        await ask(stand.environ)
    assert (fault.value.code, len(stand.desk.requests)) == ("timeout", 1)


async def test_an_absurd_wait_is_cut(stand: "Stand") -> None:
    """A wrong Retry-After must not lock a key for years: it is asked again after a quarter of an hour."""
    stand.fails(429, retry_after="100000000")
    with pytest.raises(RetryLater) as fault:
        await ask(stand.environ)
    assert (fault.value.code, fault.value.after_s) == ("rate", 900)


async def test_short_faults_are_tried_again_in_place(stand: "Stand") -> None:
    """Two failures of the server cost no attempt; one that asks for a minute comes back later."""
    stand.fails(500)
    stand.fails(503)
    assert await ask(stand.environ) == "red square"
    stand.fails(503, retry_after="60")
    with pytest.raises(RetryLater) as fault:
        await ask(stand.environ)
    assert (fault.value.code, fault.value.after_s) == ("provider-busy", 60)


async def test_a_late_answer_times_out(stand: "Stand") -> None:
    """Code "timeout": it may have been billed."""
    stand.desk.latency_s = 1.0
    with pytest.raises(RetryLater) as fault:
        await ask(stand.environ | {"LABELBUS_RELABELER_TIMEOUT_S": "0.1"})
    assert fault.value.code == "timeout"


async def test_a_dead_server_is_said_to_be(stand: "Stand") -> None:
    """Nobody listens there."""
    with pytest.raises(RetryLater, match="cannot be reached"):
        await ask({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})


async def test_a_server_that_is_never_reached_costs_nothing() -> None:
    """A connection that is not made in time sent no question."""
    request = httpx2.Request("POST", "http://10.0.0.1/v1")
    error = openai.APITimeoutError(request)
    error.__cause__ = httpx2.ConnectTimeout("late")
    fault = mapped(error, provider="10.0.0.1", model="m", patience_s=60, key="")
    assert "cannot be reached" in str(fault)
    assert fault.code == "provider-unreachable"


async def test_a_connection_lost_after_the_question_may_have_cost() -> None:
    """It is not asked again in place: its budget holds one answer."""
    asked = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RetryLater, match="broke before its answer") as fault:
            await ask({"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"})
    assert (fault.value.code, len(asked)) == ("lost-answer", 1)


async def test_what_is_no_completion_is_no_answer(stand: "Stand") -> None:
    """A web page with status 200 names the setting to check."""
    stand.desk.mishaps.append(Mishap(200, {"hello": "world"}))
    with pytest.raises(RetryLater, match="OPENAI_BASE_URL"):
        await ask(stand.environ)


async def test_refusals_and_cut_answers_are_marked(stand: "Stand") -> None:
    """They were billed, so they are answers."""
    stand.says("", refusal="I can't help with that.")
    assert await ask(stand.environ) == "<refused> I can't help with that."
    stand.says("The red", finish="length")
    assert await ask(stand.environ) == "<cut> The red"


async def test_thoughts_are_no_part_of_an_answer(stand: "Stand") -> None:
    """Some servers leave them in it."""
    stand.says("<think>\nRed? Or a cat?\n</think>\n\ncat")
    assert await ask(stand.environ) == "cat"


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 9},
        {"prompt_tokens": -5, "completion_tokens": 3},
    ],
)
async def test_an_untold_usage_counts_at_its_worst(stand: "Stand", usage: dict[str, int] | None) -> None:
    """A server that says nothing credible of its tokens must not make calls free of charge."""
    provider = Provider(
        ProviderSettings.from_environment(stand.environ), prices=Prices({"simulated": Price(1.0, 0.1, 10.0)})
    )
    await provider.open("gpt-6-luna")
    stand.desk.mishaps.append(Mishap(200, completion("cat") | {"usage": usage}))
    answer = await provider.answer(QUESTION, "simulated", None)
    await provider.close()
    worst = provider.worst(QUESTION, "simulated", None)
    assert answer.text == "cat"
    assert answer.usage.cost_usd == worst.cost_usd > 0
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        worst.input_tokens,
        worst.output_tokens,
    )


async def test_thoughts_in_the_total_are_paid_for(stand: "Stand") -> None:
    """Some servers count them there only."""
    told = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 150}
    stand.desk.mishaps.append(Mishap(200, completion("cat") | {"usage": told}))
    provider = Provider(ProviderSettings.from_environment(stand.environ))
    await provider.open("gpt-6-luna")
    usage = (await provider.answer(QUESTION, "simulated", None)).usage
    await provider.close()
    assert (usage.input_tokens, usage.output_tokens) == (100, 50)


async def test_a_picture_of_an_unknown_model_is_reserved_at_the_dearest_rule(stand: "Stand") -> None:
    """A deployment may hide a model that counts the smallest picture as 8,500 tokens."""
    provider = Provider(
        ProviderSettings.from_environment(stand.environ), prices=Prices({"mine": Price(1.0, 0.1, 1.0)})
    )
    worst = provider.worst(QUESTION, "mine", None)
    assert worst.cost_usd > 8500e-6
    assert worst.input_tokens < 200


SCHEMA_QUESTION = replace(QUESTION, schema=object_schema({"label": {"type": "string"}}))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This response_format type is unavailable now"),
        (422, "Unknown field: json_schema"),
        (400, "This model does not support Structured Outputs."),
    ],
)
async def test_a_server_without_structured_output_is_told_in_words(
    stand: "Stand", status: int, message: str
) -> None:
    """The question is asked again with its schema as text, and later ones that way from the start."""
    provider = Provider(ProviderSettings.from_environment(stand.environ))
    await provider.open("gpt-6-luna")
    stand.fails(status, "", message)
    stand.says('{"label": "cat"}', '{"label": "dog"}')
    answers = [(await provider.answer(SCHEMA_QUESTION, "simulated", None)).text for _ in range(2)]
    await provider.close()
    assert answers == ['{"label": "cat"}', '{"label": "dog"}']
    assert ["response_format" in body for body in stand.desk.requests] == [True, False, False]
    said = stand.desk.requests[1]["messages"][-1]["content"]
    assert any('"required": ["label"]' in part.get("text", "") for part in said)


async def test_questions_asked_meanwhile_are_asked_again_too(stand: "Stand") -> None:
    """Each question that was sent with a schema before that was known to be useless gets its answer."""
    stand.desk.twist = lambda body: (
        Mishap(400, {"error": {"message": "no response_format"}}, latency_s=0.05)
        if "response_format" in body
        else None
    )
    provider = Provider(ProviderSettings.from_environment(stand.environ))
    await provider.open("gpt-6-luna")
    questions = [provider.answer(SCHEMA_QUESTION, "simulated", None) for _ in range(3)]
    answers = await asyncio.gather(*questions)
    await provider.close()
    assert [answer.text for answer in answers] == ["red square"] * 3


async def test_a_server_that_refuses_words_too_stops_the_job(stand: "Stand") -> None:
    """It is not asked for ever."""
    provider = Provider(ProviderSettings.from_environment(stand.environ))
    await provider.open("gpt-6-luna")
    for _ in range(3):
        stand.fails(400, "", "No response_format here")
    with pytest.raises(RetryLater, match="No response_format") as fault:
        await provider.answer(SCHEMA_QUESTION, "simulated", None)
    await provider.close()
    assert (fault.value.scope, len(stand.desk.requests)) == ("job", 2)


async def test_usage_and_cost_are_the_answers(stand: "Stand") -> None:
    """Tokens come from the answer, the cost from the table."""
    settings = ProviderSettings.from_environment(stand.environ)
    provider = Provider(settings, prices=Prices({"simulated": Price(1.0, 0.1, 10.0)}))
    await provider.open("gpt-6-luna")
    stand.says("cat")
    usage = (await provider.answer(QUESTION, "simulated", None)).usage
    await provider.close()
    assert usage == Usage(seconds=usage.seconds, input_tokens=100, output_tokens=7, cost_usd=170e-6)
    worst = provider.worst(QUESTION, "simulated", None)
    assert worst.output_tokens == 20
    assert worst.cost_usd > usage.cost_usd


async def test_what_the_provider_puts_into_its_cache_costs_more(stand: "Stand") -> None:
    """Tokens that it says it cached are billed at their own price, and the worst case expects that of all."""
    settings = ProviderSettings.from_environment(stand.environ)
    provider = Provider(settings, prices=Prices({"gpt-6-luna": Price(1.0, 0.1, 10.0, written_usd=1.25)}))
    await provider.open("gpt-6-luna")
    stand.says("cat", written=80)
    usage = (await provider.answer(QUESTION, "gpt-6-luna", "none")).usage
    await provider.close()
    assert usage.cost_usd == pytest.approx((20 + 80 * 1.25 + 70) * 1e-6)
    worst = provider.worst(QUESTION, "gpt-6-luna", "none")
    assert worst.cost_usd == pytest.approx((worst.input_tokens * 1.25 + worst.output_tokens * 10) * 1e-6)
    assert worst.input_tokens > len(QUESTION.text.encode())


async def test_a_local_server_needs_no_key() -> None:
    """OPENAI_BASE_URL alone is enough, and no effort is sent to a model that may know none."""
    desk = Desk()
    with serve_model(openai_app(desk)) as url:
        assert await ask({"OPENAI_BASE_URL": f"{url}/v1"}) == "red square"
    assert "reasoning_effort" not in desk.requests[0]


async def test_azure_is_asked_at_its_deployment() -> None:
    """The address has the deployment and the version; the key goes in Azure's own header."""
    desk = Desk(key="azure-key")
    environ = {"AZURE_OPENAI_API_KEY": "azure-key", "AZURE_OPENAI_DEPLOYMENT": "eyes"}
    with serve_model(openai_app(desk)) as url:
        assert await ask(environ | {"AZURE_OPENAI_ENDPOINT": url}, model="eyes") == "red square"


async def test_what_is_missing_is_said() -> None:
    """Without key, address or deployment nothing starts, and no value is repeated."""
    with pytest.raises(SettingsError, match="OPENAI_API_KEY has a character that no key has") as fault:
        await ask({"OPENAI_API_KEY": "sk-ab…yz"})
    assert "sk-ab" not in str(fault.value)
    with pytest.raises(SettingsError, match="Missing OPENAI_API_KEY"):
        await ask({})
    with pytest.raises(SettingsError, match="AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT"):
        await ask({"AZURE_OPENAI_ENDPOINT": "https://x.example"})
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL is no address"):
        await ask({"OPENAI_BASE_URL": "sk-secret"})
    with pytest.raises(SettingsError, match="LABELBUS_RELABELER_TIMEOUT_S") as error:
        await ask({"LABELBUS_RELABELER_TIMEOUT_S": "sk-secret"})
    assert "sk-secret" not in str(error.value)


async def test_a_model_about_to_end_is_warned_of(stand: "Stand", caplog: pytest.LogCaptureFixture) -> None:
    """At the start, by name and date, or when a job names it, once; the default one is not."""
    with caplog.at_level(logging.WARNING):
        await ask(stand.environ | {"OPENAI_MODEL": "gpt-4o"})
        assert "gpt-4o" in caplog.text
        caplog.clear()
        provider = Provider(ProviderSettings.from_environment(stand.environ))
        assert [provider.model_for("gpt-5-mini", "simulated") for _ in range(3)] == ["gpt-5-mini"] * 3
        assert len(caplog.records) == 1
        caplog.clear()
        await ask({**stand.environ, "OPENAI_MODEL": ""})
        assert caplog.text == ""


def test_gpt_6_is_told_not_to_think() -> None:
    """At OpenAI itself, unless the environment says otherwise; others are told nothing."""
    settings = ProviderSettings.from_environment({"OPENAI_API_KEY": "k"})
    assert settings.effort_for("gpt-6-luna", None) == "none"
    assert settings.effort_for("gpt-6-luna", "high") == "high"
    assert settings.effort_for("gpt-4o", None) is None
    assert settings.provider == "api.openai.com"
