"""The AsyncAPI documents, as `faststream docs gen` writes them; and apps mounted beside FastStream's."""

from collections.abc import Sequence
from typing import Any

from httpx import ASGITransport, AsyncClient
from labelbus_contracts.topics import FIXED_TOPICS, JOBS
from labelbus_contracts.v1.message import Message
from labelbus_runtime.kafka import KafkaCarrier, app_for, documentation
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.worker import Worker


async def nothing(message: Message) -> Sequence[Message]:
    return ()


def described(app: Any) -> dict[str, Any]:
    found: dict[str, Any] = app.schema.to_specification().to_jsonable()
    return found


def test_every_topic_and_every_message_is_documented() -> None:
    """Five topics, one for a labeler and the dead letters, each to send and to receive, payloads included."""
    document = described(documentation)
    topics = {topic.name for topic in FIXED_TOPICS} | {"labelbus.label.labeler.v1"}
    assert {channel["address"] for channel in document["channels"].values()} == topics
    assert sorted(one["action"] for one in document["operations"].values()) == (
        ["receive"] * len(topics) + ["send"] * len(topics)
    )
    messages = {kind.__name__ for topic in FIXED_TOPICS for kind in topic.messages} | {"LabelSample"}
    assert messages <= document["components"]["schemas"].keys()
    payloads = [message["payload"] for message in document["components"]["messages"].values()]
    assert len(payloads) == 2 * len(topics)


def test_a_service_documents_what_it_reads() -> None:
    """The channel has the real topic's name, prefix included, and the payload of each kind."""
    carrier = KafkaCarrier(KafkaSettings(topic_prefix="here."), source="test")
    document = described(app_for(carrier, [Worker("test", JOBS, nothing, group="test")], title="Test"))
    assert document["info"]["title"] == "Test"
    assert document["channels"]["test on labelbus.jobs.v1"]["address"] == "here.labelbus.jobs.v1"
    assert {kind.__name__ for kind in JOBS.messages} <= document["components"]["schemas"].keys()


async def test_a_mounted_app_answers_its_prefix_only() -> None:
    """An HTTP API lives beside the service's own routes, whoever runs the app."""

    async def api(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    carrier = KafkaCarrier(KafkaSettings(), source="test")
    app = app_for(carrier, title="Test", mounts={"/v1/": api})
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        assert (await client.get("/v1/jobs")).status_code == 418
        assert (await client.get("/live")).text == "alive\n"
        ready = await client.get("/ready")
    assert (ready.status_code, ready.text) == (503, "not started, or stopping\n")
