"""The committer's transactions, shared by the messages that are handled at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from labelbus_contracts.v1.events import LabelEvent
from labelbus_ledger.claims import ClaimAnswer, ClaimWish, Receipt, Release, SampleKey, Standing
from labelbus_ledger.committer import CommitterRows
from labelbus_ledger.records import Proposal, Records
from labelbus_runtime.batching import Batcher

from labelbus_committer.settings import CommitterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """One call per item; the items that gather meanwhile share a transaction. All raise `Unavailable`."""

    def __init__(self, rows: CommitterRows, records: Records, settings: CommitterSettings) -> None:
        self.look: Batcher[SampleKey, Standing] = _batcher(rows.standings, settings)
        self.claim: Batcher[ClaimWish, ClaimAnswer] = _batcher(rows.claim, settings)
        self.commit: Batcher[Receipt, None] = _batcher(rows.commit, settings)
        self.release: Batcher[Release, None] = _batcher(rows.release, settings)
        self.propose: Batcher[Proposal, None] = _batcher(records.propose, settings)
        self.record: Batcher[LabelEvent, None] = _batcher(records.record, settings)

    async def close(self) -> None:
        """Finish what has begun."""
        all_of_them = (self.look, self.claim, self.commit, self.release, self.propose, self.record)
        await asyncio.gather(*(batcher.close() for batcher in all_of_them))


def _batcher(
    flush: Callable[[Sequence[Item]], Awaitable[list[Result]]], settings: CommitterSettings
) -> Batcher[Item, Result]:
    return Batcher(flush, max_size=settings.batch_size, max_wait_s=settings.batch_wait_s)
