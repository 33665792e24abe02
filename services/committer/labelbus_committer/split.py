"""Have Studio split a video into frames, once, and find the samples that it makes of it.

A split cannot be repeated and answers nothing that names its frames. So a row in the ledger says that it was
begun, and the highest sample id before it; whoever takes over looks at Studio before asking again. Frames
are the newer pictures named after the video that no other video has: of those named alike, one is split at a
time (`labelbus_ledger.splits`).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import uuid4

from labelbus_contracts.ids import StudioJobId
from labelbus_contracts.jobs import MAX_IDS_PER_MESSAGE
from labelbus_contracts.labels import LabelPart, changed_parts
from labelbus_contracts.v1.commands import SplitVideo
from labelbus_contracts.v1.events import WriteEvent
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.splits import Begun, Split, SplitRows, is_named_after
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.calls import until
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import KeyRefused, SampleNotFound, StudioError, StudioRefused
from labelbus_studio.query import SampleQuery
from labelbus_studio.samples import Sample

from labelbus_committer import replies
from labelbus_committer.settings import CommitterSettings

_AGAIN_S: Final = 5.0
_LOOKS: Final = 5
"""How often the frames of a finished split are looked for."""
_SUFFIX: Final = re.compile(r"\.(mp4|avi|mov|mkv|webm|m4v)(\.|$)", re.IGNORECASE)


class _Held(Exception):
    """A person changed the video since it was read."""

    def __init__(self, differs: tuple[LabelPart, ...]) -> None:
        super().__init__(differs)
        self.differs = differs


class VideoSplitter:
    """Handles `SplitVideo`. Raises `Unavailable` while the ledger is away; all else is an answer."""

    def __init__(
        self,
        rows: SplitRows,
        *,
        access: StudioAccess,
        job_states: JobStates,
        settings: CommitterSettings,
        process: str | None = None,
    ) -> None:
        self._rows = rows
        self._access = access
        self._job_states = job_states
        self._settings = settings
        self._process = process or uuid4().hex
        self._working: set[str] = set()

    async def __call__(self, command: SplitVideo) -> Sequence[WriteEvent]:
        """Split the video, as far as it comes in one attempt, and say what became of it."""
        if not await self._job_states.runs(command.job_id):
            return [replies.stopped(command)]
        try:
            async with until(asyncio.get_running_loop().time() + self._settings.attempt_s):
                frames = await self._frames(command)
        except TimeoutError:
            reason = f"Studio has not finished splitting video {command.sample_id}."
            return [replies.deferred(command, reason, after_s=_AGAIN_S)]
        except _Held as held:
            return [replies.held(command, held.differs, None)]
        except StudioError as error:
            fault = as_runtime_error(error, project_id=command.project_id, sample_id=command.sample_id)
            return [replies.answer(command, fault)]
        except (RetryLater, SampleRefused) as error:
            return [replies.answer(command, error)]
        starts = range(0, len(frames), MAX_IDS_PER_MESSAGE)
        return [replies.split(command, frames[at : at + MAX_IDS_PER_MESSAGE], at) for at in starts]

    async def _frames(self, command: SplitVideo) -> tuple[int, ...]:
        found = await self._rows.find(command.project_id, command.sample_id)
        if found is not None and found.frames is not None:
            return found.frames
        if found is not None and not self._has_lapsed(found):
            raise RetryLater(f"Video {command.sample_id} is being split just now.", after_s=_AGAIN_S)
        client = await self._access.client(command.project_id, command.secret)
        token = f"{self._process}:{uuid4().hex[:16]}"
        self._working.add(token)
        try:
            if found is None:
                split = await self._begin(client, command, token)
            else:
                split = await self._take_over(found, command, token)
            return await self._finish(client, command, split, is_new=found is None)
        finally:
            self._working.discard(token)

    async def _begin(self, client: StudioClient, command: SplitVideo, token: str) -> Split:
        """Take a video that is as it was when it was read."""
        live = await client.read_sample(command.project_id, command.sample_id, purpose="conflict")
        if live.is_processing:
            raise RetryLater(f"Studio still works on video {command.sample_id}.", after_s=_AGAIN_S)
        differs = changed_parts(command.base.labels, live.labels)
        if differs and command.on_conflict == "hold":
            raise _Held(tuple(sorted(differs)))
        after_id = await client.newest_id(command.project_id)
        begun = await self._rows.begin(
            command.project_id,
            command.sample_id,
            job_id=command.job_id,
            run=command.run,
            token=token,
            ttl_s=self._settings.claim_s,
            after_id=after_id,
            stem=stem_of(command.base.sample.filename),
        )
        _check_taken(begun, command)
        return Split(
            project_id=command.project_id,
            sample_id=command.sample_id,
            job_id=command.job_id,
            token=token,
            left_s=self._settings.claim_s,
            asked_s=0.0,
            after_id=after_id,
        )

    async def _take_over(self, found: Split, command: SplitVideo, token: str) -> Split:
        begun = await self._rows.take_over(
            found,
            job_id=command.job_id,
            run=command.run,
            token=token,
            ttl_s=self._settings.claim_s,
            stem=stem_of(command.base.sample.filename),
        )
        _check_taken(begun, command)
        return replace(found, token=token, job_id=command.job_id)

    async def _finish(
        self, client: StudioClient, command: SplitVideo, split: Split, *, is_new: bool
    ) -> tuple[int, ...]:
        """Bring a split to its end; give it up where it comes to none now, forget it if it never happened."""
        try:
            if split.studio_job_id is None:
                split = await (self._ask if is_new else self._look)(client, command, split)
            if split.studio_job_id is not None:
                await self._await(client, split, split.studio_job_id)
            frames = await self._made(client, command, split)
        except BaseException as error:
            await asyncio.shield(self._give_up(split, error))
            raise
        await self._rows.finish(split, frames)
        return frames

    async def _give_up(self, split: Split, error: BaseException) -> None:
        if isinstance(error, _NeverHappened):
            await self._rows.forget(split)
        else:
            await self._rows.release(split, is_over=isinstance(error, _NoFrames))

    async def _look(self, client: StudioClient, command: SplitVideo, split: Split) -> Split:
        """Find Studio's job of what an attempt that ended early began; ask where it began nothing.

        A call that was on its way then gets time to show: a split done twice cannot be undone.
        """
        try:
            live = await client.read_sample(command.project_id, command.sample_id, purpose="conflict")
        except SampleNotFound:
            return split
        if live.is_processing and live.processing_job_id is None:
            raise RetryLater(f"Studio still works on video {command.sample_id}.", after_s=_AGAIN_S)
        if live.is_processing or await self._listed(client, command, split):
            return _by(split, live.processing_job_id)
        doubt_s = self._settings.split_doubt_s - split.asked_s
        if doubt_s > 0:
            fact = f"Whether Studio has begun to split video {command.sample_id} is not known yet."
            raise RetryLater(fact, after_s=min(doubt_s, _AGAIN_S))
        await self._rows.ask_again(split)
        return await self._ask(client, command, replace(split, asked_s=0.0))

    async def _ask(self, client: StudioClient, command: SplitVideo, split: Split) -> Split:
        try:
            job_id = await client.split_video(
                command.project_id, command.sample_id, fps=command.frames_per_second
            )
        except KeyRefused:
            raise
        except StudioRefused as error:
            fault = as_runtime_error(error, project_id=command.project_id, sample_id=command.sample_id)
            raise _NeverHappened(fault.reason, code=fault.code) from error
        if job_id is not None:
            await self._rows.note_job(split, job_id)
        return _by(split, job_id)

    async def _await(self, client: StudioClient, split: Split, job_id: int) -> None:
        while (job := await client.job(split.project_id, job_id)).finished is None:
            if split.asked_s > self._settings.split_wait_s:
                raise SampleRefused(
                    f"Studio's job {job_id} has not split video {split.sample_id} within "
                    f"{self._settings.split_wait_s / 60:g} min. Look at that job in Studio.",
                    code="split",
                )
            if not await self._job_states.runs(split.job_id):
                raise RetryLater(f"Job {split.job_id} does not run. Resume it to go on.", after_s=0.0)
            await asyncio.sleep(self._settings.split_poll_s)
        if not job.succeeded:
            raise _NeverHappened(
                f"Studio could not split video {split.sample_id}: its job {job_id} failed. "
                "Look at that job's log in Studio, or remove the video.",
                code="split",
            )

    async def _made(self, client: StudioClient, command: SplitVideo, split: Split) -> tuple[int, ...]:
        for _ in range(_LOOKS):
            if frames := await self._listed(client, command, split):
                return frames
            await asyncio.sleep(self._settings.split_poll_s)
        raise _NoFrames(
            f"Studio has split video {command.sample_id}, but no new sample is named after it. "
            "Label its frames by another job.",
            code="split",
        )

    async def _listed(self, client: StudioClient, command: SplitVideo, split: Split) -> tuple[int, ...]:
        """Return the pictures that are newer than the split and named after the video, lowest ids first."""
        stem = stem_of(command.base.sample.filename)
        query = SampleQuery(name=stem, min_id=split.after_id + 1)
        found: list[int] = []
        async for page in client.pages(command.project_id, query):
            found += (int(one.id) for one in page if is_frame(one, stem))
        others = await self._rows.frames_of_others(split, stem) if found else set()
        return tuple(sorted(set(found) - others))

    def _has_lapsed(self, split: Split) -> bool:
        """Tell whether nobody works at it: its time is over, or our own call has ended."""
        if split.token.startswith(f"{self._process}:"):
            return split.token not in self._working
        return split.left_s <= 0


class _NeverHappened(SampleRefused):
    """Studio did not split the video: another run may ask it again."""


class _NoFrames(SampleRefused):
    """Studio has split the video, and nothing is named after it."""


def _check_taken(begun: Begun, command: SplitVideo) -> None:
    if begun == "taken":
        return
    why = {
        "stopped": f"job {command.job_id} does not run",
        "busy": "it is split just now",
        "named_alike": "a video whose frames may be named like its own is split just now",
    }[begun]
    raise RetryLater(f"Video {command.sample_id} waits: {why}.", after_s=_AGAIN_S)


def _by(split: Split, studio_job_id: int | None) -> Split:
    return replace(split, studio_job_id=None if studio_job_id is None else StudioJobId(studio_job_id))


def stem_of(filename: str) -> str:
    """Return what the names of a video's frames begin with: its own, up to the ending of a video."""
    return _SUFFIX.split(filename, maxsplit=1)[0] or filename


def is_frame(sample: Sample, stem: str) -> bool:
    """Tell whether a sample is a picture named after a video."""
    return sample.facts.kind == "image" and is_named_after(sample.facts.filename, stem)
