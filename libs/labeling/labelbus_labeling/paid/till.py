"""Where the paid calls of a process meet the ledger: look up, reserve, call, settle, in micro-batches."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labelbus_ledger import answers, spending
from labelbus_ledger.answers import AnswerKey, KeptAnswer
from labelbus_ledger.engine import Ledger
from labelbus_ledger.rates import TooSoon
from labelbus_ledger.spending import Bucket, OverBudget, Reserved, Settlement, Wish
from labelbus_runtime.batching import Batcher
from labelbus_runtime.errors import Unavailable

_BATCH: Final = 128
_SETTLE_TRIES: Final = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Missing:
    """No answer is kept."""


class Till:
    """The ledger's side of paid calls; one per process is enough, several are right too."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._look_ups: Batcher[AnswerKey, KeptAnswer | _Missing] = Batcher(self._look_up, max_size=_BATCH)
        self._reservations: Batcher[Wish, Reserved | OverBudget | TooSoon] = Batcher(
            self._reserve, max_size=_BATCH
        )
        self._settlements: Batcher[Settlement, None] = Batcher(self._settle, max_size=_BATCH)
        self._thaws: Batcher[Bucket, float] = Batcher(self._frozen, max_size=_BATCH)

    async def kept(self, key: AnswerKey) -> KeptAnswer | None:
        """Return an answer that somebody bought before. Raises `Unavailable`."""
        found = await self._look_ups(key)
        return None if isinstance(found, _Missing) else found

    async def reserve(self, wish: Wish) -> Reserved | OverBudget | TooSoon:
        """Reserve money and a turn, or nothing. Raises `Unavailable`: then nothing was reserved for us."""
        return await self._reservations(wish)

    async def settle(self, settlement: Settlement) -> None:
        """Settle a reservation, whatever happens to the caller meanwhile.

        Where the ledger stays away the worst case stays held, which is the safe side.
        """
        try:
            await asyncio.shield(self._settlements(settlement))
        except Unavailable as error:
            job_id = settlement.reserved.wish.job_id
            _log.warning("A paid call of job %s stays counted at its worst case: %s", job_id, error)

    async def frozen_s(self, bucket: Bucket) -> float:
        """Return for how many seconds a bucket is still frozen. Raises `Unavailable`."""
        return await self._thaws(bucket)

    async def close(self) -> None:
        """Finish what runs."""
        for batcher in (self._look_ups, self._reservations, self._settlements, self._thaws):
            await batcher.close()

    async def _look_up(self, keys: Sequence[AnswerKey]) -> Sequence[KeptAnswer | _Missing]:
        async with self._ledger.read() as conn:
            found = await answers.kept_answers(conn, set(keys))
        return [found.get(key, _Missing()) for key in keys]

    async def _reserve(self, wishes: Sequence[Wish]) -> Sequence[Reserved | OverBudget | TooSoon]:
        async with self._ledger.write() as conn:
            return await spending.reserve(self._ledger, conn, wishes)

    async def _settle(self, settlements: Sequence[Settlement]) -> Sequence[Exception | None]:
        """Settle once: a transaction whose end is unknown is not repeated, for it would free money twice."""
        for tried in range(1, _SETTLE_TRIES + 1):
            is_done = False
            try:
                async with self._ledger.write() as conn:
                    await spending.settle(self._ledger, conn, settlements)
                    is_done = True
                return [None] * len(settlements)
            except Unavailable as error:
                if is_done or tried == _SETTLE_TRIES:
                    return [error] * len(settlements)
                await asyncio.sleep(0.1 * 2**tried)
        raise AssertionError("unreachable")

    async def _frozen(self, buckets: Sequence[Bucket]) -> Sequence[float]:
        async with self._ledger.read() as conn:
            found = await spending.frozen_for(conn, set(buckets))
        return [found.get(bucket, 0.0) for bucket in buckets]
