"""Which jobs run: what every worker asks before it begins, answered from memory and refreshed by polling."""

from collections import OrderedDict
from typing import Final

import sqlalchemy as sa
from labelbus_contracts.ids import JobId

from labelbus_ledger.engine import Ledger
from labelbus_ledger.loops import Loop
from labelbus_ledger.tables import jobs

_POLL_S: Final = 2.0
_OVERLAP_S: Final = 60.0  # clocks of several dispatchers, and transactions that commit late
_MOST: Final = 1_000  # jobs that are remembered; others are read again when they are asked about
_RUNNING: Final = ("selecting", "running", "finishing")
_COLUMNS: Final = (jobs.c.job_id, jobs.c.state, jobs.c.desired_state, jobs.c.changed_at)


class JobStates:
    """The states of the jobs this process was asked about lately. A pause takes hold here within 2 s."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._runs: OrderedDict[str, bool] = OrderedDict()
        self._newest = 0.0
        self._loop = Loop("polling of jobs", self.refresh, every_s=_POLL_S)

    async def start(self) -> None:
        """Begin to poll in the background."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop polling."""
        await self._loop.stop()

    async def refresh(self) -> None:
        """Read the jobs that changed since the last time. Raises `Unavailable`."""
        if not self._runs:
            return  # nobody asked yet
        async with self._ledger.read() as connection:
            query = sa.select(*_COLUMNS).where(jobs.c.changed_at >= self._newest - _OVERLAP_S)
            rows = (await connection.execute(query)).all()
        for row in rows:
            if row.job_id in self._runs:
                self._note(row.job_id, row.state, row.desired_state, row.changed_at)

    async def runs(self, job_id: JobId) -> bool:
        """Tell whether work on a job may begin; a job the ledger does not know does not run.

        Reads the ledger for the first question about a job only. Raises `Unavailable`.
        """
        known = self._runs.get(job_id)
        if known is not None:
            self._runs.move_to_end(job_id)
            return known
        async with self._ledger.read() as connection:
            row = (
                await connection.execute(sa.select(*_COLUMNS).where(jobs.c.job_id == job_id))
            ).one_or_none()
        if row is None:
            return False
        self._note(row.job_id, row.state, row.desired_state, row.changed_at)
        return self._runs[job_id]

    def _note(self, job_id: str, state: str, desired_state: str, changed_at: float) -> None:
        self._runs[job_id] = desired_state == "run" and state in _RUNNING
        if len(self._runs) > _MOST:
            self._runs.popitem(last=False)
        self._newest = max(self._newest, changed_at)
