"""Metrics, each with its meaning; all in one registry that `/metrics` shows."""

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Name = Literal[
    "labelbus_messages_handled",  # counter: messages that ended, by outcome
    "labelbus_message_seconds",  # histogram: from being taken to being done, retries and waits included
    "labelbus_messages_retried",  # counter: tries again in place
    "labelbus_messages_waited",  # counter: waits for a ledger, a broker or a Studio that is away
    "labelbus_messages_in_flight",  # gauge: messages being handled now
    "labelbus_messages_held",  # gauge: messages that failed by a bug and wait for a proof of the deployment
    "labelbus_dead_letters",  # counter: messages given up
    "labelbus_messages_published",  # counter: messages sent
    "labelbus_workers_stopped",  # gauge: 1 for a worker that stopped because it only fails
    "labelbus_partitions_assigned",  # gauge: Kafka partitions that this process reads
    "labelbus_commits_failed",  # counter: offset commits that did not go through; they are repeated
]
Outcome = Literal["done", "skipped", "later", "refused", "dead", "undelivered"]

REGISTRY: Final = CollectorRegistry()
_WORKER: Final = ("service", "topic")
_BUCKETS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120)

HANDLED: Final = Counter(
    "labelbus_messages_handled", "Messages that ended", (*_WORKER, "outcome"), registry=REGISTRY
)
SECONDS: Final = Histogram(
    "labelbus_message_seconds", "From taken to done", _WORKER, buckets=_BUCKETS, registry=REGISTRY
)
RETRIED: Final = Counter("labelbus_messages_retried", "Tries again in place", _WORKER, registry=REGISTRY)
WAITED: Final = Counter("labelbus_messages_waited", "Waits for what is away", _WORKER, registry=REGISTRY)
IN_FLIGHT: Final = Gauge("labelbus_messages_in_flight", "Being handled now", _WORKER, registry=REGISTRY)
HELD: Final = Gauge("labelbus_messages_held", "Held after a bug", _WORKER, registry=REGISTRY)
DEAD: Final = Counter("labelbus_dead_letters", "Messages given up", _WORKER, registry=REGISTRY)
PUBLISHED: Final = Counter("labelbus_messages_published", "Messages sent", ("topic",), registry=REGISTRY)
STOPPED: Final = Gauge("labelbus_workers_stopped", "1: the worker only fails", _WORKER, registry=REGISTRY)
ASSIGNED: Final = Gauge("labelbus_partitions_assigned", "Partitions read here", _WORKER, registry=REGISTRY)
COMMITS_FAILED: Final = Counter(
    "labelbus_commits_failed", "Offset commits to repeat", _WORKER, registry=REGISTRY
)
NAMES: Final[frozenset[str]] = frozenset(get_args(Name))
