"""What the dispatcher reads of Studio: the labeling method, ids by filter, and bases by pages."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from labelbus_contracts.ids import SampleId
from labelbus_contracts.jobs import DataFilter, MetadataMatch
from labelbus_contracts.labels import Base, LabelingMethod
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_studio.errors import JobNotFound, StudioError
from labelbus_studio.query import MetadataFilter, SampleQuery
from labelbus_studio.samples import Sample, is_unlabeled


class Reader(Protocol):
    """What selecting and refilling need of Studio. All raise `RetryLater`, `SampleRefused`, `Unavailable`."""

    async def labeling_method(self, submit: SubmitJob) -> LabelingMethod:
        """Return how the job's project is labeled; proves that the key may read it."""

    async def has_studio_job(self, submit: SubmitJob) -> bool:
        """Tell whether Studio has the job to show proposals in; True where none is named."""

    def pages(self, submit: SubmitJob, *, below: int | None) -> AsyncIterator[tuple[int, list[int]]]:
        """Yield pages of the job's filter, highest ids first: where the next one begins, and the ids."""

    async def bases(
        self, submit: SubmitJob, ids: Sequence[int], *, dense_only: bool
    ) -> Mapping[SampleId, Base]:
        """Return the bases of samples that pages answer; with `dense_only` off, of all that exist."""


class StudioReader:
    """Reads by the project's key."""

    def __init__(self, access: StudioAccess) -> None:
        self._access = access

    async def labeling_method(self, submit: SubmitJob) -> LabelingMethod:
        """Ask for the project."""
        client = await self._access.client(submit.project_id, submit.secret)
        try:
            return (await client.project_info(submit.project_id)).project.labeling_method
        except StudioError as error:
            raise as_runtime_error(error, project_id=submit.project_id) from error

    async def has_studio_job(self, submit: SubmitJob) -> bool:
        """Ask for the job. Where Studio gives no clear answer, the first proposal will tell."""
        if submit.studio_job_id is None:
            return True
        client = await self._access.client(submit.project_id, submit.secret)
        try:
            await client.job(submit.project_id, submit.studio_job_id)
        except JobNotFound:
            return False
        except StudioError:
            return True
        return True

    async def pages(self, submit: SubmitJob, *, below: int | None) -> AsyncIterator[tuple[int, list[int]]]:
        """Page by key, so that samples which arrive meanwhile shift nothing.

        In a preview of Studio's samples count as earlier steps propose them.
        """
        client = await self._access.client(submit.project_id, submit.secret)
        data = submit.action.data
        asked = replace(query(data, below=below), proposed_actions_job_id=submit.studio_job_id)
        try:
            async for page in client.pages(submit.project_id, asked):
                yield min(int(one.id) for one in page), [int(one.id) for one in page if fits(one, data)]
        except StudioError as error:
            raise as_runtime_error(error, project_id=submit.project_id) from error

    async def bases(
        self, submit: SubmitJob, ids: Sequence[int], *, dense_only: bool
    ) -> Mapping[SampleId, Base]:
        """Read samples by the fewest calls; what Studio still processes is left to the labeler."""
        client = await self._access.client(submit.project_id, submit.secret)
        read_at = datetime.now(UTC)
        try:
            found = await client.read_samples(
                submit.project_id,
                ids,
                proposed_actions_job_id=submit.studio_job_id,
                dense_only=dense_only,
            )
        except StudioError as error:
            raise as_runtime_error(error, project_id=submit.project_id) from error
        ready = (one for one in found.values() if not one.is_processing and not one.processing_error)
        return {one.id: one.base(read_at) for one in ready}


def fits(sample: Sample, data: DataFilter) -> bool:
    """Tell whether a sample of `query`'s pages is one that the filter means."""
    if data.kinds and sample.facts.kind not in data.kinds:
        return False
    if data.which == "unlabeled" and not is_unlabeled(sample):
        return False
    return not (data.labeled and is_unlabeled(sample))


def query(data: DataFilter, *, below: int | None = None) -> SampleQuery:
    """Return a data filter as Studio's query; what that cannot say is told by `fits`, page by page."""
    return SampleQuery(
        category=data.category,
        labels=data.labels,
        name=data.name_contains,
        metadata=(*_metadata(data.with_metadata, has=True), *_metadata(data.without_metadata, has=False)),
        include_disabled="enabled" if data.which == "enabled" else "both",
        max_id=below,
    )


def _metadata(match: MetadataMatch | None, *, has: bool) -> tuple[MetadataFilter, ...]:
    if match is None:
        return ()
    values = () if match.value is None else (match.value,)
    return (MetadataFilter(match.key, "eq" if has else "neq", values),)
