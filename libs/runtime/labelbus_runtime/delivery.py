"""What happens to one record, under both carriers: decode, handle, retry, answer, dead-letter.

A record is done when its results, or the dead letter and the answer, are acknowledged. An exception that
`errors` does not name is a bug of the deployment until another message succeeds; see `Delivery.settle`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from labelbus_contracts.v1.message import Message

from labelbus_runtime import answers, metrics
from labelbus_runtime.codec import Record, decode
from labelbus_runtime.dead_letters import DeadLetter, DeadLetterSink, reason_of, traceback_of
from labelbus_runtime.deadlines import Deadlines
from labelbus_runtime.errors import InvalidMessage, RetryLater, SampleRefused, Unavailable
from labelbus_runtime.proof import Proof
from labelbus_runtime.worker import Worker

log = logging.getLogger(__name__)
Publish = Callable[[Sequence[Message]], Awaitable[None]]
TRACEPARENT: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)
"""The W3C trace context of the record being handled; what is published meanwhile carries it on."""
_IN_PLACE_S: Final = 1.0
_MOST_WAIT_S: Final = 5.0
_LATE_S: Final = 2.0
"""So much later than its timeout a handler may still be ended."""


@dataclass(frozen=True, slots=True)
class Held:
    """A message that failed by a bug. It needs no slot: `Delivery.settle` finishes it beside the others.

    `successes` is how many messages had succeeded when its last try began.
    """

    record: Record
    message: Message
    error: BaseException
    attempts: int
    successes: int
    started: float


Ending = Literal["done", "undelivered"]


class Delivery:
    """Delivers the records of one worker."""

    def __init__(self, worker: Worker, *, publish: Publish, dead_letters: DeadLetterSink) -> None:
        self.worker = worker
        self._send = publish
        self._dead_letters = dead_letters
        self._proof = Proof(worker)
        self._deadlines = Deadlines(worker.timeout_s)
        self._in_flight: dict[int, float] = {}  # by record, when it was taken; the oldest first
        labels = (worker.service, worker.topic.name)
        self._metrics = _WorkerMetrics(labels)
        metrics.IN_FLIGHT.labels(*labels).set_function(lambda: len(self._in_flight))

    @property
    def stopped(self) -> str | None:
        """Say why the worker takes no more messages; None while it does."""
        return self._proof.stopped

    async def deliver(self, record: Record, message: Message | None = None) -> Ending | Held:
        """Handle one record to its end, or to where only a proof of the deployment helps.

        `message` is what the record says, where the carrier has decoded it already.
        """
        started = time.perf_counter()
        TRACEPARENT.set(record.headers.get("traceparent"))
        if message is None:
            try:
                message = decode(self.worker.topic, record)
            except InvalidMessage as error:
                return await self._bury(record, None, error, attempts=0, started=started)
        if message is None:
            return self._ended("skipped", record, None, started)
        self._in_flight[id(record)] = started
        try:
            return await self._handle(record, message, started)
        finally:
            del self._in_flight[id(record)]

    def complaint(self) -> str | None:
        """Say why this worker does not do its work; None while it does."""
        if self.stopped is not None:
            return self.stopped
        oldest = next(iter(self._in_flight.values()), None)
        age_s = 0.0 if oldest is None else time.perf_counter() - oldest
        if age_s <= self.worker.timeout_s + _LATE_S:
            return None
        return (
            f"{self.worker.name} has worked on a message for {age_s:.0f} s, longer than the "
            f"{self.worker.timeout_s:g} s it may take. Its log says what it waits for."
        )

    async def settle(self, held: Held) -> Ending:
        """Dead-letter a held message once another one has succeeded since.

        When none comes for `hold_s`, an earlier success counts; a worker without any stops. The messages
        of a stopped worker stay undelivered.
        """
        with self._metrics.held.track_inprogress():
            await self._proof.after(held.successes)
        if self.stopped is not None:
            return self._ended("undelivered", held.record, held.message, held.started)
        return await self._bury(
            held.record, held.message, held.error, attempts=held.attempts, started=held.started
        )

    async def _handle(self, record: Record, message: Message, started: float) -> Ending | Held:
        attempt = waits = 0
        while True:
            successes = self._proof.successes
            error = await self._try(message)
            if error is None:
                break
            if isinstance(error, Unavailable) or (
                isinstance(error, RetryLater) and not self._asks_to_come_back(record, message, error)
            ):
                waits += 1
                await self._wait_out(error, waits)
                continue
            attempt += 1
            if not _tries_again(error) or attempt >= self.worker.retry.attempts or self.stopped:
                held = Held(record, message, error, attempt, successes, started)
                return await self._give_up(held)
            self._metrics.retried.inc()
            await asyncio.sleep(self._backoff_s(attempt, error))
        self._proof.succeeded()
        return self._ended("done", record, message, started)

    def _asks_to_come_back(self, record: Record, message: Message, error: RetryLater) -> bool:
        return answers.later(answers.question(self.worker.topic, record, message), error) is not None

    async def _try(self, message: Message) -> BaseException | None:
        """Return what went wrong; None when the results are acknowledged."""
        try:
            results = await self._deadlines.within(self.worker.handle(message))
            await self._publish(results)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # the handler's own: a cancelled inner task, not ours
        except Exception as error:
            return error
        return None

    async def _give_up(self, last: Held) -> Ending | Held:
        """End a message after its last try; return it where only a proof of the deployment helps."""
        record, message, error, started = last.record, last.message, last.error, last.started
        asked = answers.question(self.worker.topic, record, message)
        if isinstance(error, RetryLater) and (answer := answers.later(asked, error)) is not None:
            await self._publish([answer])
            return self._ended("later", record, message, started, error)
        if isinstance(error, SampleRefused):
            refusal = answers.never(asked, error.reason, code=error.code)
            if refusal is not None:
                await self._publish([refusal])
                return self._ended("refused", record, message, started, error)
        if isinstance(error, InvalidMessage | SampleRefused):
            return await self._bury(record, message, error, attempts=last.attempts, started=started)
        self._proof.failed(message, error)
        if self.stopped is not None:
            return self._ended("undelivered", record, message, started, error)
        return last

    async def _bury(
        self, record: Record, message: Message | None, error: BaseException, *, attempts: int, started: float
    ) -> Ending:
        """Store a dead letter, then answer; both for as long as it takes."""
        classified = isinstance(error, InvalidMessage | SampleRefused)
        letter = DeadLetter(
            record=record,
            service=self.worker.service,
            group=self.worker.group,
            reason=reason_of(error),
            attempts=attempts,
            at=datetime.now(UTC),
            traceback="" if classified else traceback_of(error),
        )
        waits = 0
        while (failure := await self._store(letter)) is not None:
            waits += 1
            await self._wait_out(failure, waits)
        self._metrics.dead.inc()
        asked = answers.question(self.worker.topic, record, message)
        answer = answers.never(asked, letter.reason, code="dead_letter")
        if answer is not None:
            await self._publish([answer])
        return self._ended("dead", record, message, started, error)

    async def _store(self, letter: DeadLetter) -> Exception | None:
        try:
            await self._dead_letters.store(letter)
        except Exception as error:
            return error
        return None

    async def _publish(self, messages: Sequence[Message]) -> None:
        """Publish for as long as it takes; what is too large raises `InvalidMessage`."""
        waits = 0
        while messages:
            try:
                await self._send(messages)
            except Unavailable as error:
                waits += 1
                await self._wait_out(error, waits)
            else:
                return

    async def _wait_out(self, error: BaseException, waits: int) -> None:
        self._metrics.waited.inc()
        if waits in (1, 10) or waits % 100 == 0:
            log.warning("%s waits: %s", self.worker.name, reason_of(error))
        await asyncio.sleep(_jitter(min(_MOST_WAIT_S, 0.1 * 2 ** min(waits, 10))))

    def _backoff_s(self, attempt: int, error: BaseException) -> float:
        policy = self.worker.retry
        backoff_s = _jitter(min(policy.most_s, policy.first_s * 2 ** (attempt - 1)))
        asked_s = error.after_s if isinstance(error, RetryLater) else None
        return max(backoff_s, asked_s or 0.0)

    def _ended(
        self,
        outcome: metrics.Outcome,
        record: Record,
        message: Message | None,
        started: float,
        error: BaseException | None = None,
    ) -> Ending:
        elapsed = time.perf_counter() - started
        self._metrics.handled[outcome].inc()
        self._metrics.seconds.observe(elapsed)
        if log.isEnabledFor(logging.INFO):
            log.info("handled", extra=self._line(outcome, record, message, elapsed, error))
        return "undelivered" if outcome == "undelivered" else "done"

    def _line(
        self,
        outcome: metrics.Outcome,
        record: Record,
        message: Message | None,
        elapsed: float,
        error: BaseException | None,
    ) -> dict[str, object]:
        ids = record.headers if message is None else message.routing()
        line: dict[str, object] = {"service": self.worker.service, "topic": record.topic, "outcome": outcome}
        line["kind"] = record.headers.get("ce_type") if message is None else message.kind
        line |= {name: ids[name] for name in ("job_id", "sample_id", "step") if name in ids}
        line["elapsed_s"] = round(elapsed, 4)
        if error is not None:
            line["reason"] = reason_of(error)
        return line


class _WorkerMetrics:
    """The metrics of one worker, looked up once."""

    def __init__(self, labels: tuple[str, str]) -> None:
        outcomes: tuple[metrics.Outcome, ...] = (
            "done", "skipped", "later", "refused", "dead", "undelivered",
        )  # fmt: skip
        self.handled = {outcome: metrics.HANDLED.labels(*labels, outcome) for outcome in outcomes}
        self.seconds = metrics.SECONDS.labels(*labels)
        self.retried = metrics.RETRIED.labels(*labels)
        self.waited = metrics.WAITED.labels(*labels)
        self.held = metrics.HELD.labels(*labels)
        self.dead = metrics.DEAD.labels(*labels)


def _tries_again(error: BaseException) -> bool:
    if isinstance(error, RetryLater):
        return error.after_s is None or error.after_s <= _IN_PLACE_S
    return not isinstance(error, SampleRefused | InvalidMessage)


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
