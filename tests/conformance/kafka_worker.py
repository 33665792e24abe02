"""A worker process to be killed: answers every LabelSample, and writes down what it begins and ends.

Arguments: bootstrap servers, topic prefix, path of the log, instance name.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from labelbus_contracts.ids import MessageId
from labelbus_contracts.topics import label_topic
from labelbus_contracts.v1.events import SampleSkipped
from labelbus_contracts.v1.message import Message
from labelbus_runtime.kafka import KafkaCarrier
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.worker import Worker


async def main(servers: str, prefix: str, path: str, instance: str) -> None:
    log = os.open(Path(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def handle(message: Message) -> Sequence[Message]:
        sample_id = message.sample_id  # type: ignore[attr-defined]
        os.write(log, f"begin {sample_id}\n".encode())
        await asyncio.sleep(2.0 if sample_id % 97 == 0 else 0.01)
        os.write(log, f"end {sample_id}\n".encode())
        ids = message.model_dump(include={"job_id", "project_id", "sample_id", "labeler"})
        return [SampleSkipped(id=MessageId(f"sample_skipped:{sample_id}"), reason="done", **ids)]

    settings = KafkaSettings(
        bootstrap_servers=servers, topic_prefix=prefix, instance=instance, commit_interval_s=0.05
    )
    carrier = KafkaCarrier(settings, source="killed")
    carrier.mount(Worker("test", label_topic("test"), handle, group="test", concurrency=20))
    await carrier.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
