"""The committer's two handlers: write commands, and label events."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelbus_contracts.v1.commands import CommitSample, FinishJob, ProposeSample, SplitVideo
from labelbus_contracts.v1.events import LabelEvent
from labelbus_contracts.v1.message import Message
from labelbus_runtime.errors import InvalidMessage

from labelbus_committer.batches import Batches
from labelbus_committer.commit import SampleCommitter
from labelbus_committer.finish import JobFinisher
from labelbus_committer.propose import SampleProposer
from labelbus_committer.split import VideoSplitter


@dataclass(frozen=True, slots=True)
class Writes:
    """Handles every write command; answers with what became of it."""

    propose: SampleProposer
    commit: SampleCommitter
    split: VideoSplitter
    finish: JobFinisher

    async def __call__(self, message: Message) -> Sequence[Message]:
        """Follow one command. Raises `InvalidMessage`, `RetryLater`, `Unavailable`."""
        match message:
            case CommitSample():
                return [await self.commit(message)]
            case ProposeSample():
                return [await self.propose(message)]
            case SplitVideo():
                return await self.split(message)
            case FinishJob():
                return [await self.finish(message)]
            case _:
                raise InvalidMessage(f"The committer does not follow {message.kind}. Upgrade it.")


@dataclass(frozen=True, slots=True)
class Events:
    """Records every label event once; implies no message."""

    batches: Batches

    async def __call__(self, message: Message) -> Sequence[Message]:
        """Record one event. Raises `Unavailable`."""
        if isinstance(message, LabelEvent):
            await self.batches.record(message)
        return []
