"""Store a proposal, and show it in Studio's preview where there is one. Nothing else is written."""

import asyncio

from labelbus_contracts.v1.commands import ProposeSample
from labelbus_contracts.v1.events import WriteEvent
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.records import Proposal
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.calls import until
from labelbus_studio.errors import JobNotFound, StudioError

from labelbus_committer import replies
from labelbus_committer.batches import Batches
from labelbus_committer.settings import CommitterSettings
from labelbus_committer.studio import proposed_changes


class SampleProposer:
    """Handles `ProposeSample`. Raises `Unavailable` while the ledger is away; all else is an answer.

    Studio is asked before the row is stored: a proposal that Studio refuses must not be there to apply.
    Both replace what was there, so a crash between them repeats safely.
    """

    def __init__(
        self, batches: Batches, *, access: StudioAccess, job_states: JobStates, settings: CommitterSettings
    ) -> None:
        self._batches = batches
        self._access = access
        self._job_states = job_states
        self._settings = settings

    async def __call__(self, command: ProposeSample) -> WriteEvent:
        """Propose the draft, and say what became of it."""
        if not await self._job_states.runs(command.job_id):
            return replies.stopped(command)
        try:
            async with until(asyncio.get_running_loop().time() + self._settings.attempt_s):
                await self._show(command)
        except TimeoutError:
            return replies.deferred(command, f"Studio did not take sample {command.sample_id} in time.")
        except JobNotFound as error:
            away = RetryLater(str(error), scope="job", code="studio_job")
            return replies.answer(command, away)
        except StudioError as error:
            fault = as_runtime_error(error, project_id=command.project_id, sample_id=command.sample_id)
            return replies.answer(command, fault)
        except (RetryLater, SampleRefused) as error:
            return replies.answer(command, error)
        await self._batches.propose(_proposal(command))
        return replies.proposed(command)

    async def _show(self, command: ProposeSample) -> None:
        if command.studio_job_id is None:
            return
        client = await self._access.client(command.project_id, command.secret)
        changes = proposed_changes(command.base, command.draft)
        await client.propose(command.project_id, command.sample_id, command.studio_job_id, changes)


def _proposal(command: ProposeSample) -> Proposal:
    return Proposal(
        job_id=command.job_id,
        run=command.run,
        project_id=command.project_id,
        sample_id=command.sample_id,
        base=command.base,
        draft=command.draft,
        studio_job_id=command.studio_job_id,
    )
