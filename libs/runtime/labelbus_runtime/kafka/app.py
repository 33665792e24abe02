"""ASGI applications: a service that `faststream run` starts, and the AsyncAPI document of every topic."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from faststream import AckPolicy
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.asgi.types import Scope
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI
from labelbus_contracts.topics import COMMITS, DEAD_LETTERS, EVENTS, JOBS, WRITES, Topic, label_topic
from prometheus_client import make_asgi_app

from labelbus_runtime.errors import LabelbusError
from labelbus_runtime.kafka.carrier import KafkaCarrier
from labelbus_runtime.loop import collect_rarely
from labelbus_runtime.worker import Worker

log = logging.getLogger(__name__)
Hook = Callable[[], Awaitable[None]]
AsgiApp: TypeAlias = Callable[..., Awaitable[None]]
"""What others know of a service's app: FastStream's own type stays here."""
_NO_MOUNTS: Final[Mapping[str, AsgiApp]] = MappingProxyType({})


class ServiceApp(AsgiFastStream):
    """FastStream's app with whole ASGI apps under path prefixes, and logs of one kind however it is run."""

    mounts: Mapping[str, AsgiApp] = _NO_MOUNTS
    failure: LabelbusError | None = None
    """Why the start failed, where it is a fault of the surroundings and not of the code."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a mounted prefix by its app, everything else, the lifespan too, by FastStream."""
        if scope["type"] == "http":
            for prefix, mounted in self.mounts.items():
                if scope["path"].startswith(prefix):
                    await mounted(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)

    async def lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        """Start and stop. A failure that is understood is told in its sentence, not in a traceback."""
        collect_rarely()

        async def tell(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed" and self.failure is not None:
                message = {**message, "message": str(self.failure)}
            await send(message)

        await super().lifespan(scope, receive, tell)

    async def run(self, log_level: int = logging.INFO, run_extra_options: Any = None) -> None:
        """Serve, as `faststream run` asks. uvicorn logs through the process's own handler."""
        own = {"log_config": None, "access_log": "false"}
        await super().run(log_level or logging.INFO, {**own, **(run_extra_options or {})})


def app_for(
    carrier: KafkaCarrier,
    workers: Sequence[Worker] = (),
    *,
    title: str,
    version: str = "1.0.0",
    before: Sequence[Hook] = (),
    after: Sequence[Hook] = (),
    mounts: Mapping[str, AsgiApp] = _NO_MOUNTS,
    drain_s: float = 15.0,
) -> ServiceApp:
    """Return the app of a service: it delivers, and answers /live, /ready, /metrics and /docs.

    `before` runs before anything is delivered (open the ledger), `after` once nothing is any more. `mounts`
    has further ASGI apps by the prefix of their paths, such as "/v1/".
    """
    for worker in workers:
        carrier.mount(worker)

    async def prepare() -> None:
        with remembered():
            for hook in before:
                await hook()
            await carrier.prepare()

    async def begin() -> None:
        with remembered():
            await carrier.begin()

    @contextmanager
    def remembered() -> Iterator[None]:
        try:
            yield
        except LabelbusError as error:
            app.failure = error
            raise

    async def drain() -> None:
        await carrier.drain(drain_s=drain_s)

    async def close() -> None:
        for hook in after:
            await hook()

    app = ServiceApp(
        carrier.broker,
        logger=log,
        on_startup=[prepare],
        after_startup=[begin],
        on_shutdown=[drain],
        after_shutdown=[close],
        specification=AsyncAPI(title=title, version=version),
        asyncapi_path="/docs",
        asgi_routes=[
            ("/live", _live),
            ("/ready", _ready(carrier)),
            ("/metrics", make_asgi_app(carrier.registry)),
        ],
    )
    app.mounts = mounts
    return app


@get
async def _live(scope: Scope) -> AsgiResponse:
    """The process runs its loop."""
    return AsgiResponse(b"alive\n", 200)


def _ready(carrier: KafkaCarrier) -> Any:
    @get
    async def ready(scope: Scope) -> AsgiResponse:
        """Every worker has its partitions, commits, and has not stopped."""
        said = carrier.ready()
        text = "ready\n" if said.ready else "".join(f"{line}\n" for line in said.complaints)
        return AsgiResponse(text.encode(), 200 if said.ready else 503)

    return ready


def _document() -> AsgiFastStream:
    broker = KafkaBroker("kafka:9092", logger=None, ack_policy=AckPolicy.MANUAL, apply_types=False)
    for topic in (JOBS, label_topic("labeler"), EVENTS, WRITES, COMMITS, DEAD_LETTERS):
        _declare(broker, topic)
    return AsgiFastStream(
        broker,
        specification=AsyncAPI(
            title="Labelbus",
            version="1.0.0",
            description="Every topic. `labelbus.label.labeler.v1` stands for one topic per labeler.",
        ),
        asyncapi_path="/docs",
    )


def _declare(broker: KafkaBroker, topic: Topic) -> None:
    payload = reduce(or_, topic.messages) if topic.messages else bytes
    said = (
        f"From {', '.join(topic.producers)} to {', '.join(topic.consumers)}. "
        f"Retention {topic.retention_ms // 3_600_000} h, {topic.partitions} partitions, "
        f"records up to {topic.max_bytes // 1024} KiB."
    )
    broker.publisher(
        topic.name,
        title=f"{topic.name}:Send",
        description=said,
        schema=payload,
    )

    async def read(message: Any) -> None:
        raise NotImplementedError

    read.__annotations__ = {"message": payload, "return": None}
    subscriber = broker.subscriber(topic.name, title=f"{topic.name}:Receive", description=said)
    subscriber(read)


documentation = _document()
"""What `faststream docs gen labelbus_runtime.kafka:documentation` writes down."""
