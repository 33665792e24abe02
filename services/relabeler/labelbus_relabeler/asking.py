"""From a question to an answer that can be used: paid for once, asked again once where it is useless."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.labeler import LabelTask
from labelbus_labeling.paid import Answer, digest_of
from labelbus_runtime.errors import SampleRefused

from labelbus_relabeler.completions import CUT, REFUSED, marked
from labelbus_relabeler.errors import Unusable
from labelbus_relabeler.faults import shortened
from labelbus_relabeler.provider import Provider
from labelbus_relabeler.questions import Question

Value = TypeVar("Value")
_TRIES: Final = 2
_REMEDIES: Final = {
    "": "Say in the prompt what to answer, or name the allowed labels.",
    REFUSED: "Look at the sample, or say in the prompt what to answer.",
    CUT: "Ask for less in the prompt; for a model that thinks first, set OPENAI_REASONING_EFFORT.",
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a job wants its questions asked: by which model, and how many at a time in this process."""

    model: str
    effort: str | None
    concurrency: int
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Asked(Generic[Value]):
    """What was read from an answer, what it took, and the model that answered."""

    value: Value
    usage: Usage
    model: str


class Asker:
    """Asks a provider by way of the task's paid calls."""

    def __init__(self, provider: Provider, default_model: str) -> None:
        self._provider = provider
        self._default_model = default_model
        self._by_job: WeakValueDictionary[tuple[JobId, int], asyncio.Semaphore] = WeakValueDictionary()

    async def open(self) -> None:
        """Connect. Raises `SettingsError`."""
        await self._provider.open(self._default_model)

    async def close(self) -> None:
        """Close the connections."""
        await self._provider.close()

    def manner(
        self, *, model: str | None, effort: str | None = None, concurrency: int, patience: float = 1.0
    ) -> Manner:
        """Return how to ask, with the environment's model and effort where the job names none."""
        chosen = self._provider.model_for(model, self._default_model)
        return Manner(chosen, self._provider.effort_for(chosen, effort), concurrency, patience)

    async def ask(
        self, task: LabelTask, question: Question, manner: Manner, read: Callable[[str], Value]
    ) -> Asked[Value]:
        """Return what `read` makes of the answer; one that it finds `Unusable` is asked for once more.

        Raises `SampleRefused`, `RetryLater`.
        """
        usage, current = Usage(), question
        for attempt in range(1, _TRIES + 1):
            answer = await self._answer(task, current, manner)
            usage = added(usage, Usage() if answer.cached else answer.usage)
            try:
                return Asked(read(answer.text), usage, answer.model)
            except Unusable as fault:
                if attempt == _TRIES:
                    raise _refused(answer, fault) from fault
                current = question.again(str(fault))
        raise AssertionError("the last try returns or raises")

    async def _answer(self, task: LabelTask, question: Question, manner: Manner) -> Answer:
        place = _Place(self._slots(task, manner))

        async def call() -> Answer:
            await place.take()
            try:
                return await self._provider.answer(
                    question, manner.model, manner.effort, patience=manner.patience
                )
            finally:
                place.leave()  # the next question is asked while this one's answer is settled

        await place.take()  # before money and a turn are reserved, not while they are held
        try:
            return await task.paid.ask(
                provider=self._provider.name,
                model=manner.model,
                digest=_digest(question, manner, self._provider.path),
                worst=self._provider.worst(question, manner.model, manner.effort),
                call=call,
            )
        finally:
            place.leave()

    def _slots(self, task: LabelTask, manner: Manner) -> asyncio.Semaphore:
        key = (task.job_id, manner.concurrency)
        slots = self._by_job.get(key)
        if slots is None:
            slots = self._by_job[key] = asyncio.Semaphore(manner.concurrency)
        return slots


class _Place:
    """One of the places for calls of a job; taken and left once, however often that is asked for."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._is_taken = False

    async def take(self) -> None:
        if not self._is_taken:
            await self._slots.acquire()
            self._is_taken = True

    def leave(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._slots.release()


def added(one: Usage, other: Usage) -> Usage:
    """Return what two calls took together."""
    return Usage(
        seconds=one.seconds + other.seconds,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cost_usd=one.cost_usd + other.cost_usd,
    )


def _digest(question: Question, manner: Manner, path: str) -> str:
    return digest_of(
        question.picture.data,
        question.system,
        question.text,
        question.reminder,
        {
            "model": manner.model,
            "path": path,
            "effort": manner.effort,
            "detail": question.detail,
            "schema": dict(question.schema) if question.schema is not None else None,
            "max_output_tokens": question.max_output_tokens,
        },
    )


def _refused(answer: Answer, fault: Unusable) -> SampleRefused:
    mark, text = marked(answer.text)
    said = f"It answered {shortened(text)!r}." if text.strip() else ""
    fact = f"{answer.model} gave no answer that can be used, asked twice: {fault}. {said}".rstrip()
    return SampleRefused(f"{fact} {_REMEDIES[mark]}", code="answer")
