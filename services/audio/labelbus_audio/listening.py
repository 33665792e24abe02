"""Listening to a clip once: equal windows are heard once, and what was heard lately is not asked again."""

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from labelbus_contracts.v1.events import Usage
from labelbus_labeling.labeler import LabelTask
from labelbus_labeling.paid import Answer as Paid
from labelbus_labeling.paid import Estimate, PartlyBilled, digest_of
from labelbus_runtime.errors import RetryLater, SampleRefused

from labelbus_audio.ears import BILLED, Answer, Ears, Heard, Query
from labelbus_audio.settings import PRICE_SETTING
from labelbus_audio.windows import Window

_KEPT = 20_000
"""Answers kept in memory: a clip that is tried again asks only for what is missing."""


@dataclass(frozen=True, slots=True)
class Listened:
    """The answers of a clip's windows, in their order, and what they took."""

    answers: tuple[Answer, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class _Hearing:
    """Answers by name, why others are missing, and how many `calls` were billed at most.

    Windows that were not asked any more share the fault of the one before.
    """

    found: dict[str, Answer]
    failures: list[Exception]
    calls: int


class Listener:
    """Puts queries to an engine; calls elsewhere go through the task's door for paid calls."""

    def __init__(self, ears: Ears, *, price_usd: float | None = None) -> None:
        """Take an engine; one elsewhere costs `price_usd` for each window, None where that is unknown."""
        self._ears = ears
        self._price_usd = price_usd
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    async def listen(self, task: LabelTask, query: Query) -> Listened:
        """Answer every window. Raises `SampleRefused`, `RetryLater`."""
        names = [_name(query, window) for window in query.windows]
        distinct = dict(zip(names, query.windows, strict=True))
        if self._ears.is_elsewhere:
            found, usage = await self._asked(task, query, distinct)
        else:
            hearing, usage = await self._heard(query, distinct), Usage()
            if hearing.failures:
                raise hearing.failures[0]
            found = hearing.found
        return Listened(tuple(found[name] for name in names), usage)

    async def _asked(
        self, task: LabelTask, query: Query, distinct: dict[str, Window]
    ) -> tuple[dict[str, Answer], Usage]:
        async def call() -> Paid:
            hearing = await self._heard(query, distinct)
            usage = self._usage(hearing.calls)
            if hearing.failures:
                error = hearing.failures[0]
                if isinstance(error, RetryLater | SampleRefused):
                    raise PartlyBilled(error, usage, hearing.calls) from error
                raise error
            text = _written([hearing.found[name] for name in distinct])
            return Paid(text, usage, self._ears.model, calls=hearing.calls)

        answer = await task.paid.ask(
            provider="huggingface",
            model=self._ears.model,
            digest=digest_of("audio", json.dumps(list(distinct)), {"top": query.top}),
            worst=self._worst(sum(name not in self._kept for name in distinct)),
            call=call,
        )
        return dict(zip(distinct, _read(answer.text), strict=True)), answer.usage

    def _worst(self, calls: int) -> Estimate:
        """Return the estimate of one call for each window; one whose price is unknown fits no budget."""
        cost_usd = math.inf if self._price_usd is None else calls * self._price_usd
        return Estimate(0, 0, cost_usd, calls=calls, price_setting=PRICE_SETTING)

    def _usage(self, calls: int) -> Usage:
        return Usage(cost_usd=calls * (self._price_usd or 0.0))

    async def _heard(self, query: Query, distinct: dict[str, Window]) -> "_Hearing":
        """Listen to the windows that are not in this process's memory."""
        found = {name: self._kept[name] for name in distinct if name in self._kept}
        missing = {name: window for name, window in distinct.items() if name not in found}
        failures: list[Exception] = []
        if missing:
            answers = await self._ears.hear(replace(query, windows=tuple(missing.values())))
            for name, answer in zip(missing, answers, strict=True):
                if isinstance(answer, Exception):
                    failures.append(answer)
                else:
                    found[name] = self._keep(name, answer)
        unknown = {id(error) for error in failures if isinstance(error, RetryLater) and error.code in BILLED}
        return _Hearing(found, failures, len(missing) - len(failures) + len(unknown))

    def _keep(self, name: str, answer: Answer) -> Answer:
        self._kept[name] = answer
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return answer


def _name(query: Query, window: Window) -> str:
    """Return what makes two questions equal: the sound, its rate, its padding and how many labels."""
    digest = hashlib.sha256(query.clip.values[window.start : window.end].tobytes())
    digest.update(f"{query.clip.rate}/{query.length}/{query.top}".encode())
    return digest.hexdigest()


def _written(answers: Sequence[Answer]) -> str:
    return json.dumps([[[one.label, one.score] for one in answer] for answer in answers])


def _read(text: str) -> list[Answer]:
    return [tuple(Heard(str(label), float(score)) for label, score in answer) for answer in json.loads(text)]
