"""Count what an apply job would touch, before anybody is asked whether to go on."""

from dataclasses import dataclass

from labelbus_contracts.jobs import DataFilter
from labelbus_dispatcher.studio import fits, query
from labelbus_ledger import reports
from labelbus_studio.samples import Sample, is_unlabeled

from labelbus_cli.plan import Wish
from labelbus_cli.session import Session


@dataclass(frozen=True, slots=True)
class Survey:
    """Samples that the job is about, those that have labels now, and ids that the project lacks.

    A random part is `total` samples `of` so many, of which `labeled` have labels.
    """

    total: int
    labeled: int
    unknown: int = 0
    of: int | None = None

    def sentence(self) -> str:
        """Say it in one line."""
        lacking = f", {self.unknown} not in the project" if self.unknown else ""
        if self.of is not None:
            return f"{self.total} random samples of {self.of}, of which {self.labeled} have labels already"
        samples = "1 sample" if self.total == 1 else f"{self.total} samples"
        return f"{samples}, {self.labeled} of them have labels already{lacking}"


async def survey(session: Session, wish: Wish) -> Survey:
    """Read the samples of a wish by pages, or the stored proposals of the preview that it applies."""
    if wish.source_job_id is not None:
        return await _of_proposals(session, wish.source_job_id)
    if wish.chosen is not None:
        found = await session.client.read_samples(wish.project_id, wish.chosen)
        return _count(len(wish.chosen), list(found.values()))
    return await _of_filter(session, wish.action.data, wish.sample)


async def _of_filter(session: Session, data: DataFilter, sample: int | None) -> Survey:
    """Count by pages. For a random part its size is known, and how many of all have labels."""
    total = labeled = 0
    async for page in session.client.pages(session.project.id, query(data)):
        fitting = [one for one in page if fits(one, data)]
        total += len(fitting)
        labeled += sum(not is_unlabeled(one) for one in fitting)
    if sample is None or sample >= total:
        return Survey(total, labeled)
    return Survey(sample, labeled, of=total)


def _count(total: int, samples: list[Sample]) -> Survey:
    labeled = sum(not is_unlabeled(one) for one in samples)
    return Survey(total, labeled, total - len(samples))


async def _of_proposals(session: Session, job_id: str) -> Survey:
    total = labeled = 0
    async with session.ledger.read() as connection:
        async for _, before, _ in reports.sides(connection, job_id):
            total += 1
            labeled += before.is_labeled
    return Survey(total, labeled)
