"""Look up once what many ask at the same time: counting a job of a million samples takes a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_RESTS: Final = 3


class Looks(Generic[_K, _V]):
    """Answers equal questions by one look, and keeps an answer for three times as long as it took.

    So at most a quarter of the time goes into a question, however many ask, and what is had at once is always
    asked anew. A look that fails is nobody else's.
    """

    def __init__(
        self, look: Callable[[_K], Awaitable[_V]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._clock = clock
        self._known: dict[_K, _Known[_V]] = {}

    async def __call__(self, question: _K) -> _V:
        """Return the answer. Raises what the look raises."""
        known = self._known.setdefault(question, _Known())
        async with known.turn:
            if known.answer and self._clock() < known.until:
                return known.answer[0]
            started = self._clock()
            answer = await self._look(question)
            ended = self._clock()
            known.answer, known.until = (answer,), ended + _RESTS * (ended - started)
        self._forget(ended)
        return answer

    def _forget(self, now: float) -> None:
        for question, known in list(self._known.items()):
            if known.until <= now and not known.turn.locked():
                del self._known[question]


class _Known(Generic[_V]):
    """The last answer, until when it holds, and whose turn it is to look."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.answer: tuple[_V] | tuple[()] = ()
        self.until = 0.0
