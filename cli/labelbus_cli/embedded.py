"""Everything a job needs in one process: carrier, dispatcher, committer and the labelers of the job."""

import asyncio
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, Self

from labelbus_committer.service import Committer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId
from labelbus_contracts.topics import COMMITS
from labelbus_contracts.v1.events import JobRejected
from labelbus_contracts.v1.message import Message
from labelbus_customblock.settings import ANY_COMMAND, COMMANDS_VARIABLE
from labelbus_dispatcher.service import Dispatcher
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.studio import StudioReader
from labelbus_labeling.cache import BlobCache
from labelbus_labeling.labeler import Registration
from labelbus_labeling.paid.answer import PaidDesk
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_labeling.service import LabelerService
from labelbus_ledger import job_rows, job_samples
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.dead_letters import LedgerDeadLetters
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.loops import Loop
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.worker import Carrier, Worker

from labelbus_cli.ownership import RENEW_EVERY_S, committer_of, lapse_claims, process_lease

_DRAIN_S = 15.0
_WINDOW_TIMES = 4.0
"""In flight per unit of a labeler's capacity: twice what it takes at once, so that it works on while the next
bases are read. What waits costs nothing here, and other processes have nothing to gain from it."""


class Service(Protocol):
    """What every service is to the process that composes it."""

    def workers(self) -> Sequence[Worker]:
        """Return what to mount."""

    async def start(self, carrier: Carrier) -> None:
        """Begin background work."""

    async def stop(self) -> None:
        """End it."""


class Embedded:
    """One process that dispatches, labels and commits: `start`, then an async context manager."""

    def __init__(
        self,
        ledger: Ledger,
        access: StudioAccess,
        *,
        known: Mapping[str, Registration],
        opened: Sequence[str],
        committer: CommitterSettings,
        environ: Mapping[str, str] = os.environ,
        paid: PaidDesk | None = None,
        cache: BlobCache | None = None,
    ) -> None:
        """Take every known labeler, so that actions can be checked, and the names of those to open."""
        self.carrier_id = f"embedded:{uuid.uuid4()}"
        self.carrier = EmbeddedCarrier(dead_letters=LedgerDeadLetters(ledger))
        self.rejections: dict[JobId, str] = {}
        self._ledger = ledger
        self._lease = process_lease(ledger, self.carrier_id)
        self._renewal = Loop(
            "renewal of the process lease", self._lease.acquire_or_renew, every_s=RENEW_EVERY_S
        )
        self._states = JobStates(ledger)
        self._dispatcher = Dispatcher(
            ledger,
            carrier_id=self.carrier_id,
            reader=StudioReader(access),
            labelers=known,
            settings=_dispatcher(),
            instance="embedded",
        )
        self._committer = Committer(
            ledger,
            access=access,
            job_states=self._states,
            settings=committer,
            process=committer_of(self.carrier_id),
        )
        blobs, rates = cache or BlobCache(), RateSettings.of(environ)
        chosen = {**environ, COMMANDS_VARIABLE: environ.get(COMMANDS_VARIABLE) or ANY_COMMAND}
        self._labelers = [
            LabelerService(
                known[name],
                known[name].make(chosen),  # who runs an action here chose the commands in it
                access=access,
                job_states=self._states,
                ledger=ledger,
                carrier_id=self.carrier_id,
                instance="embedded",
                cache=blobs,
                rates=rates,
                paid=paid,
            )
            for name in dict.fromkeys(opened)
        ]
        self._stack: AsyncExitStack | None = None

    async def start(self) -> None:
        """Take the lease, open the labelers and begin to work. What fails or is cancelled leaves nothing."""
        async with AsyncExitStack() as stack:
            await self._lease.acquire_or_renew()
            stack.push_async_callback(self._lease.release)
            self._renewal.start()
            stack.push_async_callback(self._renewal.stop)
            await self._states.start()
            stack.push_async_callback(self._states.stop)
            for worker in self._workers():
                self.carrier.mount(worker)
            services: list[Service] = [*self._labelers, self._committer]
            for service in services:
                stack.push_async_callback(service.stop)
                await service.start(self.carrier)
            stack.push_async_callback(self.carrier.stop, drain_s=_DRAIN_S)
            await self.carrier.start()
            stack.push_async_callback(self._dispatcher.stop)  # the first to stop: nothing new is sent
            await self._dispatcher.start(self.carrier)
            self._stack = stack.pop_all()

    async def __aenter__(self) -> Self:
        """Start, unless `start` was called before."""
        if self._stack is None:
            await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, finish what runs, give up the lease: another process may go on at once."""
        if self._stack is not None:
            await asyncio.shield(self._stack.aclose())

    @property
    def announcements(self) -> tuple[str, ...]:
        """Return what the open labelers have to say."""
        return tuple(text for one in self._labelers for text in one.announcements)

    async def adopt(self, job_id: JobId) -> bool:
        """Take over an unfinished job of a process that is gone. False where somebody was faster."""
        async with self._ledger.write() as connection:
            head = await job_rows.job_head(connection, job_id, lock=True)
            if head is None:
                return False
            now = time.time()
            is_ours = await job_samples.take_over(connection, head, carrier=self.carrier_id, now=now)
        if is_ours:
            await lapse_claims(self._ledger, head.carrier)
        return is_ours

    def _workers(self) -> list[Worker]:
        listener = Worker(service="cli", topic=COMMITS, handle=self._listen, group="labelbus.cli")
        services: list[Service] = [*self._labelers, self._committer, self._dispatcher]
        return [*(worker for service in services for worker in service.workers()), listener]

    async def _listen(self, message: Message) -> Sequence[Message]:
        if isinstance(message, JobRejected):
            self.rejections[message.job_id] = message.reason
        return ()


def _dispatcher() -> DispatcherSettings:
    settings = DispatcherSettings()
    if "window_times" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"window_times": _WINDOW_TIMES})
