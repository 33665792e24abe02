"""The committer as one object: its workers, and the sweep of what cancelled jobs left half written."""

import logging
from collections.abc import Sequence
from typing import Final

from labelbus_contracts.topics import EVENTS, WRITES
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.committer import CommitterRows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.loops import Loop
from labelbus_ledger.records import Records
from labelbus_ledger.splits import SplitRows
from labelbus_runtime.errors import LabelbusError, Unavailable
from labelbus_runtime.worker import Carrier, Worker
from labelbus_studio.errors import StudioError

from labelbus_committer.batches import Batches
from labelbus_committer.commit import SampleCommitter
from labelbus_committer.finish import JobFinisher
from labelbus_committer.handler import Events, Writes
from labelbus_committer.propose import SampleProposer
from labelbus_committer.settings import CommitterSettings
from labelbus_committer.split import VideoSplitter

SERVICE: Final = "committer"
_FINISH_TIMEOUT_S: Final = 3600.0
log = logging.getLogger(__name__)


class Committer:
    """Records label events and writes to Studio. `job_states` is started and stopped by its owner.

    `process` begins the tokens of its claims, unlike any other committer's; a random one by default.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        access: StudioAccess,
        job_states: JobStates,
        settings: CommitterSettings,
        process: str | None = None,
    ) -> None:
        self._rows, records = CommitterRows(ledger), Records(ledger)
        self._batches = Batches(self._rows, records, settings)
        self._settings = settings
        self._commit = SampleCommitter(
            self._rows, self._batches, access=access, settings=settings, process=process
        )
        self._writes = Writes(
            propose=SampleProposer(self._batches, access=access, job_states=job_states, settings=settings),
            commit=self._commit,
            split=VideoSplitter(
                SplitRows(ledger, longest_s=settings.split_wait_s),
                access=access,
                job_states=job_states,
                settings=settings,
                process=process,
            ),
            finish=JobFinisher(records, access=access, settings=settings),
        )
        self._sweeping = Loop("sweep of lapsed claims", self.sweep, every_s=settings.sweep_s)

    def workers(self) -> Sequence[Worker]:
        """Return what to mount."""
        return [
            Worker(
                service=SERVICE,
                topic=WRITES,
                handle=self._writes,
                group="labelbus.committer",
                concurrency=self._settings.concurrency,
                timeout_s=_FINISH_TIMEOUT_S,  # a finish of many samples; a write bounds itself
            ),
            Worker(
                service=SERVICE,
                topic=EVENTS,
                handle=Events(self._batches),
                group="labelbus.committer-events",
                concurrency=self._settings.concurrency,
            ),
        ]

    async def start(self, carrier: Carrier) -> None:
        """Begin to sweep."""
        self._sweeping.start()

    async def stop(self) -> None:
        """Finish the transactions that have begun."""
        await self._sweeping.stop()
        await self._batches.close()

    async def sweep(self) -> None:
        """Settle the claims that cancelled or ended jobs left behind. Raises `Unavailable`."""
        for claim, secret in await self._rows.abandoned():
            try:
                await self._commit.settle(claim, secret)
            except Unavailable:
                raise
            except (StudioError, LabelbusError) as error:
                subject = (claim.sample_id, claim.project_id, claim.job_id)
                log.warning("sample %s of project %s, job %s, is not settled: %s", *subject, error)
