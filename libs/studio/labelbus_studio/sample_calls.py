"""Reading samples: one, many, pages, counts, bytes."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from labelbus_studio.answers import Call
from labelbus_studio.calls import Calls, together
from labelbus_studio.errors import SampleNotFound, StudioConfused, StudioUnavailable
from labelbus_studio.fields import optional_whole, part, whole
from labelbus_studio.query import SampleQuery
from labelbus_studio.samples import Sample, read_sample, read_samples

PAGE_SIZE = 1000
_SMALL_PAGE = 100
"""Clips with thousands of ranges can make a page too large for Studio's gateway, or for our patience."""
_SAMPLES_PER_WANTED = 4
"""How many samples a page may carry for each one that is wanted."""
_WORTH_A_PAGE = 0.05
"""The share of a page's samples that must be wanted for paging to go on."""


@dataclass(frozen=True, slots=True)
class Page:
    """Samples with the highest ids first. `total` counts all that match; `lowest` is the lowest id here."""

    samples: list[Sample]
    unreadable: frozenset[int]
    total: int | None

    @property
    def lowest(self) -> int | None:
        """Return the lowest id, None for an empty page."""
        return min((*(s.id for s in self.samples), *self.unreadable), default=None)

    def ends(self, limit: int) -> bool:
        """Tell whether nothing lies behind this page. Studio may answer shorter pages than asked for."""
        count = len(self.samples) + len(self.unreadable)
        return not count or (count < limit and self.total is not None and count >= self.total)


class SampleCalls(Calls):
    """Read samples. All methods raise `StudioError`."""

    _longest_page = PAGE_SIZE

    async def read_sample(
        self,
        project_id: int,
        sample_id: int,
        *,
        proposed_actions_job_id: int | None = None,
        purpose: str | None = None,
    ) -> Sample:
        """Read one sample, without its payload. `purpose` counts the call apart from others."""
        call = Call(
            route="sample",
            path=f"/api/{project_id}/raw-data/{sample_id}",
            params={"limitPayloadValues": 1, "proposedActionsJobId": proposed_actions_job_id},
            sample=sample_id,
            purpose=purpose,
        )
        return read_sample(part((await self.ask(call)).get("sample")))

    async def read_samples(
        self,
        project_id: int,
        ids: Sequence[int],
        *,
        proposed_actions_job_id: int | None = None,
        dense_only: bool = False,
        purpose: str | None = None,
    ) -> dict[int, Sample]:
        """Read many samples by the fewest calls: by pages where the ids lie dense, else one by one.

        Ids that are not in the project are absent. With `dense_only` so are those which a page does not
        answer: then this takes fewer calls than ids, except for one page that shows the ids to lie sparse.
        """
        wanted = sorted(set(ids))
        query = SampleQuery(proposed_actions_job_id=proposed_actions_job_id)
        parts = [wanted[i : i + PAGE_SIZE] for i in range(0, len(wanted), PAGE_SIZE)]
        found: dict[int, Sample] = {}
        for answered in await together(self._read_dense(project_id, query, one, purpose) for one in parts):
            found |= answered
        if not dense_only:
            rest = [one for one in wanted if one not in found]
            found |= await self._read_sparse(project_id, rest, proposed_actions_job_id, purpose)
        return found

    async def pages(
        self, project_id: int, query: SampleQuery, *, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[list[Sample]]:
        """Page through the samples, highest ids first, each page from below the last one's ids.

        So nothing is missed or repeated when samples arrive meanwhile. Samples that cannot be read are
        logged and left out.
        """
        below = query.max_id
        while True:
            page = await self._page(project_id, replace(query, max_id=below), page_size)
            if page.samples:
                yield page.samples
            if page.ends(page_size):
                return
            below = page.lowest

    async def newest_id(self, project_id: int) -> int:
        """Return the highest sample id of a project; 0 where it has no samples."""
        page = await self._page(project_id, SampleQuery(), 1)
        return max((*(int(one.id) for one in page.samples), *page.unreadable), default=0)

    async def count(self, project_id: int, query: SampleQuery) -> int:
        """Count the samples."""
        call = Call(route="count", path=f"/api/{project_id}/raw-data/count", params=query.filters())
        return whole((await self.ask(call)).get("count"), "count")

    async def image(self, project_id: int, sample_id: int) -> bytes:
        """Return the encoded image, JPEG or PNG."""
        return await self.fetch(_media(project_id, sample_id, "image"))

    async def wav(self, project_id: int, sample_id: int, axis: int = 0) -> bytes:
        """Return one axis of a time series as WAV."""
        return await self.fetch(_media(project_id, sample_id, "wav", axisIx=axis))

    async def raw(self, project_id: int, sample_id: int) -> bytes:
        """Return the sample's original bytes or its acquisition envelope."""
        return await self.fetch(_media(project_id, sample_id, "raw"))

    async def _page(
        self, project_id: int, query: SampleQuery, limit: int, purpose: str | None = None
    ) -> Page:
        """Read a page; a small one, from then on, where Studio does not bring a large one about in time."""
        limit = min(limit, self._longest_page)
        try:
            return await self._page_of(project_id, query, limit, purpose)
        except (StudioUnavailable, StudioConfused) as error:
            if limit <= _SMALL_PAGE or getattr(error, "retry_after_s", None) is not None:
                raise
        page = await self._page_of(project_id, query, _SMALL_PAGE, purpose)
        self._longest_page = _SMALL_PAGE
        return page

    async def _page_of(self, project_id: int, query: SampleQuery, limit: int, purpose: str | None) -> Page:
        call = Call(
            route="samples",
            path=f"/api/{project_id}/raw-data",
            params={
                **query.filters(),
                "proposedActionsJobId": query.proposed_actions_job_id,
                "limit": limit,
                "excludeSensors": True,
            },
            purpose=purpose,
        )
        answer = await self.ask(call)
        samples, unreadable = read_samples(answer.get("samples"))
        page = Page(samples, frozenset(unreadable), optional_whole(answer.get("totalCount"), "totalCount"))
        highest = max((*(s.id for s in samples), *unreadable), default=None)
        if highest is not None and query.max_id is not None and highest >= query.max_id:
            raise StudioConfused("Studio's pages do not heed maxId. This Studio is too old for Labelbus.")
        return page

    async def _read_dense(
        self, project_id: int, query: SampleQuery, wanted: list[int], purpose: str | None
    ) -> dict[int, Sample]:
        """Walk down the wanted ids by pages, past the gaps, for as long as pages hold enough of them."""
        found: dict[int, Sample] = {}
        rest = list(wanted)
        while len(rest) > 1:
            limit = min(PAGE_SIZE, len(rest) * _SAMPLES_PER_WANTED)
            window = replace(query, min_id=rest[0], max_id=rest[-1] + 1)
            page = await self._page(project_id, window, limit, purpose)
            by_id = {int(one.id): one for one in page.samples}
            hits = [one for one in rest if one in by_id]
            found |= {one: by_id[one] for one in hits}
            if page.ends(limit) or page.lowest is None or len(hits) < max(2, len(by_id) * _WORTH_A_PAGE):
                break
            rest = [one for one in rest if one < page.lowest]
        return found

    async def _read_sparse(
        self, project_id: int, ids: list[int], proposed_actions_job_id: int | None, purpose: str | None
    ) -> dict[int, Sample]:
        found: dict[int, Sample] = {}
        queue = iter(ids)

        async def read() -> None:
            for one in queue:
                try:
                    found[one] = await self.read_sample(
                        project_id, one, proposed_actions_job_id=proposed_actions_job_id, purpose=purpose
                    )
                except SampleNotFound:
                    continue

        await together(read() for _ in range(min(len(ids), self.settings.concurrency)))
        return found


def _media(project_id: int, sample_id: int, what: str, **params: int) -> Call:
    path = f"/api/{project_id}/raw-data/{sample_id}/{what}"
    return Call(route=what, path=path, params=params, sample=sample_id)
