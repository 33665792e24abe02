"""Reach a cluster: by Kafka, or by the dispatcher's HTTP API where LABELBUS_URL names it."""

import os
from collections.abc import Sequence

from labelbus_contracts.v1.commands import CancelJob, PauseJob, ResumeJob, SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_runtime.settings import KafkaSettings, load

from labelbus_cli.errors import BadInput, CommandError

_TIMEOUT_S = 60.0


async def publish(messages: Sequence[Message]) -> str:
    """Send commands about one job to the cluster; return the job's id there. Raises `Unavailable`.

    The HTTP API numbers jobs itself and takes at most 10,000 ids.
    """
    if os.environ.get("LABELBUS_URL"):
        return await _post(messages)
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.start()
    try:
        await carrier.publish(messages)
    finally:
        await carrier.stop()
    return str(getattr(messages[0], "job_id", ""))


async def create_topics(labelers: Sequence[str]) -> None:
    """Create the topics that a cluster needs, those of the given labelers included."""
    from labelbus_contracts.topics import FIXED_TOPICS, label_topic
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.create_topics([*FIXED_TOPICS, *map(label_topic, labelers)])


async def _post(messages: Sequence[Message]) -> str:
    import httpx

    url, token = os.environ["LABELBUS_URL"].rstrip("/"), os.environ.get("LABELBUS_TOKEN", "").strip()
    if not token:
        raise BadInput("Missing LABELBUS_TOKEN. `labelbus tokens create NAME` makes one for LABELBUS_URL.")
    if len(messages) != 1:
        raise BadInput("The HTTP API takes at most 10,000 ids. Unset LABELBUS_URL to submit by Kafka.")
    path, body, key = _request(messages[0])
    headers = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}
    async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT_S) as client:
        try:
            answer = await client.post(f"{url}{path}", json=body)
        except httpx.HTTPError as error:
            raise CommandError(f"{url} does not answer: {error}. Check LABELBUS_URL.") from error
    if answer.status_code in (401, 403):
        raise BadInput(f"{url} refuses the token in LABELBUS_TOKEN.")
    if answer.is_error:
        raise CommandError(f"{url} answers {answer.status_code}: {answer.text[:500]}")
    return str(answer.json()["job_id"])


def _request(message: Message) -> tuple[str, dict[str, object], str | None]:
    """Return path, body and idempotency key of a command."""
    match message:
        case SubmitJob(source_job_id=str(preview)):
            return f"/v1/jobs/{preview}/apply", {"on_conflict": message.on_conflict}, message.job_id
        case SubmitJob():
            hidden = {"id", "kind", "job_id", "source_job_id", "submitted_by"}
            return "/v1/jobs", message.model_dump(mode="json", exclude=hidden), message.job_id
        case CancelJob():
            return f"/v1/jobs/{message.job_id}/cancel", {"reason": message.reason}, None
        case PauseJob():
            return f"/v1/jobs/{message.job_id}/pause", {"reason": message.reason}, None
        case ResumeJob():
            asked = message.model_dump(mode="json", include={"retry_failed", "budget_usd"})
            return f"/v1/jobs/{message.job_id}/resume", asked, None
        case _:
            raise ValueError(f"the HTTP API has no route for {message.kind}")
