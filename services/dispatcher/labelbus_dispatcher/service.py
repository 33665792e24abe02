"""The dispatcher as a service: its workers, and the loops of the one instance that holds the lease."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from labelbus_contracts.ids import JobId
from labelbus_contracts.topics import COMMITS, EVENTS, JOBS
from labelbus_contracts.v1.message import Message
from labelbus_labeling.labeler import Registration
from labelbus_ledger import job_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_ledger.leases import Lease
from labelbus_ledger.loops import Loop
from labelbus_runtime.errors import LabelbusError, Unavailable
from labelbus_runtime.worker import Carrier, Worker

from labelbus_dispatcher.adoption import adopt
from labelbus_dispatcher.commands import JobCommands
from labelbus_dispatcher.handler import SampleEvents
from labelbus_dispatcher.keeping import Keeping
from labelbus_dispatcher.recipes import Recipes
from labelbus_dispatcher.refill import Refill
from labelbus_dispatcher.selection import Selector
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.studio import Reader
from labelbus_dispatcher.watch import Watch

log = logging.getLogger(__name__)
SERVICE = "dispatcher"
_SELECTIONS_AT_ONCE = 8
_LAST_TURN_S = 2.0


class Dispatcher:
    """Decides what happens to every sample of a carrier's jobs.

    `start` needs the carrier, through which the loops publish.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        carrier_id: str,
        reader: Reader,
        labelers: Mapping[str, Registration],
        settings: DispatcherSettings,
        instance: str,
    ) -> None:
        self._ledger = ledger
        self._carrier_id = carrier_id
        self._settings = settings
        self._woken = asyncio.Event()
        self._carrier: Carrier | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._selecting: dict[JobId, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._again_at: dict[JobId, float] = {}
        recipes = Recipes()
        self._lease = Lease(ledger, f"refill:{carrier_id}", instance, settings.lease_s)
        self.events = SampleEvents(
            ledger, limits=settings.limits, recipes=recipes, wake=self.wake, batch=settings.batch
        )
        self.commands = JobCommands(ledger, carrier_id=carrier_id, labelers=labelers, wake=self.wake)
        self.refill = Refill(
            ledger, reader, self.publish, carrier_id=carrier_id, recipes=recipes, settings=settings
        )
        self.selector = Selector(ledger, reader, self.publish, labelers=labelers, wake=self.wake)
        self.watch = Watch(
            ledger, self.publish, recipes=recipes, limits=settings.limits,
            finish_again_s=settings.finish_again_s, answers=self.refill.answers,
        )  # fmt: skip
        self.keeping = Keeping(ledger, self.publish, carrier_id=carrier_id, keeper_s=settings.keeper_s)
        self._keepers = Loop("watch over keepers", self._look_after_keepers, every_s=settings.watch_s)
        self._holds = False

    def workers(self) -> Sequence[Worker]:
        """Return what the carrier mounts. Commands are followed one at a time: their order matters."""
        many = self._settings.batch * 2
        return (
            Worker(SERVICE, JOBS, self.commands.handle, group=SERVICE, concurrency=1),
            Worker(SERVICE, EVENTS, self.events.handle, group=SERVICE, concurrency=many),
            Worker(SERVICE, COMMITS, self.events.handle, group=SERVICE, concurrency=many),
        )

    async def start(self, carrier: Carrier) -> None:
        """Begin to refill, select and watch, as soon as the lease is ours."""
        self._stopping.clear()
        self._carrier = carrier
        self._tasks = [asyncio.create_task(self._run(), name="dispatcher")]
        self._keepers.start()

    async def stop(self) -> None:
        """End the loops, after their turn if it is short, and give up the lease."""
        self._stopping.set()
        self._woken.set()
        await self._keepers.stop()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_TURN_S)
        if self._selecting:
            await asyncio.wait(self._selecting.values(), timeout=_LAST_TURN_S)
        tasks += self._selecting.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.events.close()
        try:
            await self._lease.release()
        except LabelbusError as error:
            log.warning("The refill lease stays until it lapses: %s", error)

    def wake(self) -> None:
        """Refill soon: rows changed."""
        self._woken.set()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish on the carrier. Raises `Unavailable` before `start`."""
        if self._carrier is None:
            raise Unavailable("The dispatcher has not started. Start it with its carrier.")
        await self._carrier.publish(messages)

    async def _run(self) -> None:
        next_lease = next_watch = 0.0
        self._holds = False
        while not self._stopping.is_set():
            try:
                if time.monotonic() >= next_lease:
                    self._holds = await self._lease.acquire_or_renew()
                    next_lease = time.monotonic() + self._settings.lease_s / 3
                if self._holds:
                    turn = await self.refill.turn()
                    await self.watch.close(turn.idle)
                    if time.monotonic() >= next_watch:
                        next_watch = time.monotonic() + self._settings.watch_s
                        await self._look_after()
                    elif turn.idle:
                        self._select(turn.idle)
            except LabelbusError as error:
                log.warning("The dispatcher waits: %s", error)
                await asyncio.sleep(self._settings.refill_s)
            except Exception:
                log.exception("A turn of the dispatcher failed; it goes on")
                await asyncio.sleep(self._settings.refill_s)
            await self._pause()

    async def _pause(self) -> None:
        event, wait_s = (self._woken, self._settings.refill_s)
        if not self._holds:
            event, wait_s = (self._stopping, self._settings.lease_s / 3)
        try:
            async with asyncio.timeout(wait_s):
                await event.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _look_after_keepers(self) -> None:
        """In a loop of its own: a turn of the refill may wait for Studio."""
        if self._holds:
            await self.keeping.look_after()

    async def _look_after(self) -> None:
        if self._settings.adopt:
            await adopt(self._ledger, self._carrier_id)
        async with self._ledger.read() as conn:
            heads = await job_rows.open_jobs(conn, self._carrier_id)
        if not heads:
            return
        self._select(heads)
        await self.watch.retry_overdue(heads)
        for head in heads:
            await self.watch.pause_failing(head)
        await self.watch.close([head for head in heads if head.state in ("finishing", "cancelling")])

    def _select(self, heads: Sequence[JobHead]) -> None:
        for head in heads:
            if head.state != "selecting" or not head.runs or head.job_id in self._selecting:
                continue
            if len(self._selecting) >= _SELECTIONS_AT_ONCE:
                return
            if self._again_at.get(head.job_id, 0.0) <= time.monotonic():
                task = asyncio.create_task(self._select_one(head), name=f"selection of {head.job_id}")
                self._selecting[head.job_id] = task

    async def _select_one(self, head: JobHead) -> None:
        try:
            await self.selector.select(head)
            self._again_at.pop(head.job_id, None)
        except LabelbusError as error:
            log.warning("The selection of job %s waits: %s", head.job_id, error)
            self._again_at[head.job_id] = time.monotonic() + 5 * self._settings.watch_s
        except Exception:
            log.exception("The selection of job %s failed; it is tried again", head.job_id)
            self._again_at[head.job_id] = time.monotonic() + 30 * self._settings.watch_s
        finally:
            self._selecting.pop(head.job_id, None)
