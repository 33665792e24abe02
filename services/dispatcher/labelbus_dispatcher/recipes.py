"""What each job does, read once and kept small: its command without the ids."""

from collections import OrderedDict
from typing import Final

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_ledger import job_rows
from labelbus_ledger.job_rows import JobHead
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_dispatcher.decide import Job

_MOST: Final = 1_000


class Recipes:
    """The commands of the jobs used last. A job's command changes only from one run to the next."""

    def __init__(self) -> None:
        self._kept: OrderedDict[JobId, tuple[int, SubmitJob]] = OrderedDict()

    async def job(self, conn: AsyncConnection, head: JobHead) -> Job | None:
        """Return a job with its command; None for one that was cancelled before it came."""
        run, submit = self._kept.get(head.job_id, (0, None))
        if submit is None or run != head.run:
            whole = await job_rows.submit_of(conn, head.job_id)
            if whole is None:
                return None
            submit = without_ids(whole)
            self._kept[head.job_id] = (head.run, submit)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(head.job_id)
        return Job(head, submit)


def without_ids(submit: SubmitJob) -> SubmitJob:
    """Return a command that is small, however many ids it brought; given ids are an empty list."""
    selection = submit.selection.model_copy(update={"ids": None if submit.selection.ids is None else ()})
    return submit.model_copy(update={"selection": selection})
