"""Jobs from their submission to their end, on the embedded carrier, with scripted peers."""

from typing import TYPE_CHECKING

from labelbus_contracts.jobs import Selection
from labelbus_contracts.v1 import commands

if TYPE_CHECKING:
    from conftest import World


async def test_a_job_of_given_ids_commits_each_sample_once(world: "World") -> None:
    """Every sample is labeled and committed, and the job says so at its end."""
    await world.submit(selection=Selection(ids=(3, 1, 2, 1)))
    assert await world.states() == {"committed": 3}
    assert [one.sample_id for one in world.of(commands.LabelSample)] == [3, 1, 2]  # type: ignore[attr-defined]
    assert len(world.of(commands.CommitSample)) == 3
    assert await world.state() == "finished"


async def test_a_job_of_a_filter_takes_every_page(world: "World") -> None:
    """A filter's samples are brought page by page."""
    world.reader.ids = range(1, 251)
    await world.submit(selection=Selection())
    assert await world.states() == {"committed": 250}
