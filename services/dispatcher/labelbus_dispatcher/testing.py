"""For tests: a dispatcher on an embedded carrier; Studio, labelers and committer are scripted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.jobs import ActionSpec, Selection, StepSpec
from labelbus_contracts.labels import Base, ClassLabel, LabelingMethod, LabelSet, SampleFacts
from labelbus_contracts.topics import COMMITS, WRITES, label_topic
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message, message_id
from labelbus_labeling.labeler import Labeler, LabelerParameters, Registration
from labelbus_ledger import job_rows, sample_rows
from labelbus_ledger.engine import Ledger
from labelbus_ledger.job_rows import JobHead
from labelbus_runtime.embedded import EmbeddedCarrier
from labelbus_runtime.worker import Worker

from labelbus_dispatcher.service import Dispatcher
from labelbus_dispatcher.settings import DispatcherSettings

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
BASE = Base(sample=SampleFacts(filename="a.jpg", kind="image"), labels=LabelSet(), read_at=READ_AT)
Answer = Callable[[commands.LabelSample], events.LabelEvent | None]
WriteAnswer = Callable[[commands.WriteSample], events.WriteEvent | None]
SplitAnswer = Callable[[commands.SplitVideo], Sequence[events.WriteEvent]]


class Threshold(LabelerParameters):
    """Parameters of the test labelers."""

    threshold: float = 0.5


def registration(name: str) -> Registration:
    """Return a labeler that nobody makes."""

    def make(environment: Mapping[str, str]) -> Labeler:
        raise NotImplementedError

    return Registration(
        name=name,
        title=name,
        operates_on=frozenset({"images_object_detection"}),
        parameters=Threshold,
        make=make,
    )


LABELERS = {name: registration(name) for name in ("one", "two")}


@dataclass
class FakeReader:
    """A Studio of some ids; `error` is raised by every call while it is set."""

    ids: Sequence[int] = ()
    method: LabelingMethod = "object_detection"
    page_size: int = 10
    error: Exception | None = None
    base: Base | None = None
    studio_jobs: Sequence[int] | None = None
    pages_read: list[int | None] = field(default_factory=list)

    async def labeling_method(self, submit: commands.SubmitJob) -> LabelingMethod:
        """Answer the method."""
        if self.error is not None:
            raise self.error
        return self.method

    async def has_studio_job(self, submit: commands.SubmitJob) -> bool:
        """Tell by the scripted jobs; None are all."""
        known = self.studio_jobs
        return submit.studio_job_id is None or known is None or submit.studio_job_id in known

    async def pages(
        self, submit: commands.SubmitJob, *, below: int | None
    ) -> AsyncIterator[tuple[int, list[int]]]:
        """Page down the ids."""
        left = sorted((one for one in self.ids if below is None or one < below), reverse=True)
        while left:
            if self.error is not None:
                raise self.error
            self.pages_read.append(left[0])
            page, left = left[: self.page_size], left[self.page_size :]
            yield page[-1], page

    async def bases(
        self, submit: commands.SubmitJob, ids: Sequence[int], *, dense_only: bool
    ) -> Mapping[SampleId, Base]:
        """Answer the scripted base for every id."""
        if self.error is not None:
            raise self.error
        return {} if self.base is None else {SampleId(one): self.base for one in ids}


def submit_job(**changes: object) -> commands.SubmitJob:
    """Return a job over the samples 1 to 3, of one step, that applies."""
    given: dict[str, object] = {
        "id": message_id("submit_job", "job"),
        "job_id": JobId("job"),
        "project_id": ProjectId(7),
        "secret": SecretName("env:KEY"),
        "action": action("one"),
        "selection": Selection(ids=(1, 2, 3)),
        "mode": "apply",
    }
    return commands.SubmitJob.model_validate(given | changes)


def action(*labelers: str, **changes: object) -> ActionSpec:
    """Return an action of one step per labeler."""
    steps = [StepSpec(labeler=name) for name in labelers]
    return ActionSpec.model_validate({"name": "test", "steps": steps} | changes)


def labeled(command: commands.LabelSample, label: str = "cat") -> events.SampleLabeled:
    """Answer a command with a draft."""
    return events.SampleLabeled(
        **_ids("sample_labeled", command),
        step=command.step,
        labeler=command.labeler,
        base=command.base or BASE,
        draft=LabelSet(label=ClassLabel(label=label, score=0.9)),
    )


def failed(command: commands.LabelSample, reason: str = "broken", **more: object) -> events.SampleFailed:
    """Answer a command with a failure."""
    given = _ids("sample_failed", command) | {"step": command.step, "labeler": command.labeler}
    return events.SampleFailed.model_validate(given | {"reason": reason} | more)


def written(command: commands.WriteSample) -> events.WriteEvent:
    """Answer a write with success."""
    if isinstance(command, commands.CommitSample):
        return events.SampleCommitted(**_ids("sample_committed", command), changed=("label",))
    return events.SampleProposed(**_ids("sample_proposed", command))


def answer(
    kind: type[events.SampleEvent], command: commands.SampleCommand, **more: object
) -> events.SampleEvent:
    """Answer any command with any event."""
    name = str(kind.model_fields["kind"].default)
    given: dict[str, object] = dict(_ids(name, command))
    if isinstance(command, commands.LabelSample):
        given |= {"step": command.step, "labeler": command.labeler}
    return kind.model_validate(given | more)


def _ids(kind: str, command: commands.SampleCommand) -> dict[str, object]:
    ids = (command.job_id, command.run, command.sample_id, getattr(command, "step", "w"), command.attempt)
    return {
        "id": message_id(kind, *ids),
        "job_id": command.job_id,
        "run": command.run,
        "project_id": command.project_id,
        "sample_id": command.sample_id,
        "attempt": command.attempt,
    }


def no_split(command: commands.SplitVideo) -> Sequence[events.WriteEvent]:
    """Answer nothing: the test is about no videos."""
    return ()


def video_found(command: commands.LabelSample, frames_per_second: int = 10) -> events.VideoFound:
    """Answer a command with the wish to have the sample split."""
    given = _ids("video_found", command) | {"step": command.step, "labeler": command.labeler}
    more = {"base": command.base or BASE, "frames_per_second": frames_per_second}
    return events.VideoFound.model_validate(given | more)


@dataclass(frozen=True, slots=True)
class Standing:
    """A job's row with its samples by state."""

    head: JobHead
    counts: dict[str, int]


@dataclass
class World:
    """A dispatcher on an embedded carrier, and the peers it talks to."""

    ledger: Ledger
    reader: FakeReader
    dispatcher: Dispatcher
    carrier: EmbeddedCarrier
    label: Answer = labeled
    write: WriteAnswer = written
    split: SplitAnswer = no_split
    seen: list[Message] = field(default_factory=list)

    async def submit(self, **changes: object) -> commands.SubmitJob:
        """Submit a job."""
        submit = submit_job(**changes)
        await self.carrier.publish([submit])
        return submit

    def labels_sent(self) -> list[commands.LabelSample]:
        """Return what labelers were sent."""
        return [one for one in self.seen if isinstance(one, commands.LabelSample)]

    async def standing(self, job_id: str = "job") -> Standing | None:
        """Return where a job stands; None for one that the dispatcher has not taken yet."""
        async with self.ledger.read() as conn:
            head = await job_rows.job_head(conn, JobId(job_id))
            return None if head is None else Standing(head, await sample_rows.counts(conn, head.job_id))

    async def ended(self, job_id: str = "job") -> Standing:
        """Return where a job stands once it has ended or is paused."""
        while True:
            async with self.ledger.read() as conn:
                head = await job_rows.job_head(conn, JobId(job_id))
                if head is not None and (head.has_ended or head.state == "paused"):
                    return Standing(head, await sample_rows.counts(conn, head.job_id))
            await asyncio.sleep(0.01)

    async def becomes(self, state: str, job_id: str = "job") -> Standing:
        """Wait until a job is in that state, and return where it stands."""
        async with asyncio.timeout(20):
            while True:
                standing = await self.standing(job_id)
                if standing is not None and standing.head.state == state:
                    return standing
                await asyncio.sleep(0.01)

    async def states(self, job_id: str = "job") -> dict[str, int]:
        """Wait for the job's end, or its pause, and return its samples by state."""
        async with asyncio.timeout(20):
            return (await self.ended(job_id)).counts

    async def state(self, job_id: str = "job") -> str:
        """Wait for the job's end, or its pause, and return its state."""
        async with asyncio.timeout(20):
            return (await self.ended(job_id)).head.state

    def of(self, *kinds: type[Message]) -> list[Message]:
        """Return what peers were sent, of some kinds."""
        return [one for one in self.seen if isinstance(one, kinds)]

    async def labels(self, message: Message) -> Sequence[Message]:
        """Be every labeler."""
        self.seen.append(message)
        assert isinstance(message, commands.LabelSample)
        made = self.label(message)
        return () if made is None else (made,)

    async def writes(self, message: Message) -> Sequence[Message]:
        """Be the committer."""
        self.seen.append(message)
        if isinstance(message, commands.FinishJob):
            ids = message_id("job_metadata_set", message.job_id, message.run)
            return (events.JobMetadataSet(id=ids, job_id=message.job_id, run=message.run),)
        if isinstance(message, commands.SplitVideo):
            return self.split(message)
        assert isinstance(message, commands.WriteSample)
        made = self.write(message)
        return () if made is None else (made,)

    async def note(self, message: Message) -> Sequence[Message]:
        """Be another pipeline."""
        self.seen.append(message)
        return ()


QUICK = DispatcherSettings(
    backoff_first_s=0.01, backoff_most_s=0.02, refill_s=0.02, watch_s=0.02, finish_again_s=0.2
)


def make_world(ledger: Ledger, settings: DispatcherSettings = QUICK, carrier_id: str = "test") -> World:
    """Make a world that is not started."""
    reader = FakeReader()
    dispatcher = Dispatcher(
        ledger,
        carrier_id=carrier_id,
        reader=reader,
        labelers=LABELERS,
        settings=settings,
        instance=f"instance of {carrier_id}",
    )
    made = World(ledger, reader, dispatcher, EmbeddedCarrier())
    for worker in (
        *dispatcher.workers(),
        *(Worker(name, label_topic(name), made.labels, group=name) for name in LABELERS),
        Worker("committer", WRITES, made.writes, group="committer"),
        Worker("others", COMMITS, made.note, group="others"),
    ):
        made.carrier.mount(worker)
    return made
