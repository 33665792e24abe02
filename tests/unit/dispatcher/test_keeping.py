"""Jobs that are kept by a block outside: it begins, falls silent, comes back, and an equal one takes over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from labelbus_contracts.ids import JobId, ProjectId
from labelbus_contracts.jobs import Selection
from labelbus_contracts.labels import LabelSet
from labelbus_contracts.v1 import commands, events
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.keeping import GONE, Begun, Keeping, Kept
from labelbus_dispatcher.testing import BASE, QUICK, World, labeled, make_world, submit_job
from labelbus_ledger import keepers
from labelbus_ledger.engine import Ledger
from labelbus_ledger.secrets import SecretStore, new_key
from labelbus_ledger.tables import keepers as keeper_rows
from labelbus_ledger.tables import proposals, secrets
from labelbus_runtime.errors import Unavailable
from labelbus_runtime.testing import run_until
from pydantic import SecretStr

A, B = "a" * 32, "b" * 32
JOB = JobId("job")
both = pytest.mark.parametrize(
    "ledger", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
async def world(ledger: Ledger) -> AsyncIterator[World]:
    """A started world whose keepers may be silent for a third of a second; sample 3 is not answered."""
    made = make_world(ledger, QUICK.model_copy(update={"keeper_s": 0.3}))
    made.label = lambda sent: None if sent.sample_id == 3 else labeled(sent)
    await made.carrier.start()
    await made.dispatcher.start(made.carrier)
    yield made
    await made.dispatcher.stop()
    await made.carrier.stop(drain_s=1)


async def begin(world: World, keeper: str = A, *, mark: str = "same", **changes: object) -> Begun:
    """Begin as a block does: with a secret and a job id of its own."""
    given = {"job_id": f"job of {keeper[0]}", "secret": keepers.secret_name(keeper, "key")}
    return await world.dispatcher.keeping.begin(keeper, submit_job(**given | changes), mark)


@asynccontextmanager
async def kept(world: World, job_id: JobId, keeper: str = A) -> AsyncIterator[None]:
    """Say again and again that a keeper is there."""

    async def stay() -> None:
        while await world.dispatcher.keeping.stay(keeper, job_id):  # noqa: ASYNC110  # as a block does
            await asyncio.sleep(0.02)

    task = asyncio.create_task(stay())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def have_ended(world: World, state: str, number: int) -> None:
    """Wait until so many samples of the job of A have ended in a state."""
    async with asyncio.timeout(10):
        while True:
            found = await world.standing("job of a")
            if found is not None and found.counts.get(state) == number:
                return
            await asyncio.sleep(0.01)


async def test_a_kept_job_ends_and_its_secrets_go(world: World, ledger: Ledger) -> None:
    """The keeper's secrets are forgotten with the end of the job, others stay."""
    store = SecretStore(ledger, allow_env=False, keys=new_key())
    for name in (keepers.secret_name(A, "key"), keepers.secret_name(A, "source"), "main"):
        await store.put(name, ProjectId(7), SecretStr("ei_1"))
    begun = await begin(world, selection=Selection(ids=(1, 2)))
    async with kept(world, begun.job_id):
        assert await world.states(begun.job_id) == {"committed": 2}
    async with asyncio.timeout(10):
        while len(names := await secret_names(ledger)) > 1:  # noqa: ASYNC110  # the ledger tells nobody
            await asyncio.sleep(0.01)
    assert names == ["main"]


async def secret_names(ledger: Ledger) -> list[str]:
    """Return what the ledger keeps."""
    async with ledger.read() as conn:
        return list(await conn.scalars(secrets.select().with_only_columns(secrets.c.name)))


@both
async def test_a_silent_keeper_pauses_its_job(world: World) -> None:
    """The reason says what to do; when the keeper speaks again, the job goes on by itself."""
    begun = await begin(world)
    standing = await world.becomes("paused", begun.job_id)
    assert standing.head.reason == GONE
    await run_until(lambda: world.of(events.JobPaused))
    assert await world.dispatcher.keeping.stay(A, begun.job_id)
    await world.becomes("running", begun.job_id)


@both
async def test_an_equal_run_takes_over(world: World, ledger: Ledger) -> None:
    """It goes on with the same job and its own secret; what is committed is not computed again."""
    store = SecretStore(ledger, allow_env=False, keys=new_key())
    await store.put(keepers.secret_name(A, "key"), ProjectId(7), SecretStr("ei_of_a"))
    begun = await begin(world)
    async with kept(world, begun.job_id):
        await have_ended(world, "committed", 2)
    await world.becomes("paused", begun.job_id)
    world.label = labeled
    world.seen.clear()
    assert await begin(world, B) == Begun(begun.job_id, went_on=True)
    assert await secret_names(ledger) == []
    async with kept(world, begun.job_id, B):
        assert await world.states(begun.job_id) == {"committed": 3}
    assert {(one.sample_id, one.secret) for one in world.labels_sent()} == {
        (3, keepers.secret_name(B, "key"))
    }
    assert not await world.dispatcher.keeping.stay(A, begun.job_id)


async def test_proposals_are_staged_in_the_new_job_of_studio(world: World, ledger: Ledger) -> None:
    """Those that were computed are proposed again as they are; only what was open is computed."""
    begun = await begin(world, mode="preview", studio_job_id=41)
    async with kept(world, begun.job_id):
        await have_ended(world, "proposed", 2)
    await world.becomes("paused", begun.job_id)
    async with ledger.write() as conn:  # as the committer does
        for sample_id in (1, 2):
            row = {"job_id": begun.job_id, "sample_id": sample_id, "project_id": 7, "run": 1}
            more = {"base": BASE.model_dump_json(), "draft": LabelSet().model_dump_json(), "proposed_at": 0.0}
            await conn.execute(proposals.insert().values(**row, **more))
    world.label = labeled
    world.seen.clear()
    await begin(world, B, mode="preview", studio_job_id=42)
    async with kept(world, begun.job_id, B):
        assert await world.states(begun.job_id) == {"proposed": 3}
    assert [one.sample_id for one in world.labels_sent()] == [3]
    staged = [one for one in world.seen if isinstance(one, commands.ProposeSample)]
    assert sorted((one.sample_id, one.studio_job_id) for one in staged) == [(1, 42), (2, 42), (3, 42)]


@both
async def test_two_equal_runs_do_not_share_a_job(world: World) -> None:
    """While one keeps it the other is told how long to wait; when the first leaves, it takes over at once."""
    world.dispatcher.keeping.keeper_s = 60.0
    begun = await begin(world)
    assert await begin(world) == begun  # the same call again
    with pytest.raises(Kept) as refused:
        await begin(world, B)
    assert (refused.value.job_id, 0 < refused.value.left_s <= 60) == (begun.job_id, True)
    await world.becomes("running", begun.job_id)
    await world.dispatcher.keeping.leave(A, begun.job_id)
    assert (await begin(world, B)).job_id == begun.job_id


@both
async def test_whoever_begins_again_is_there(ledger: Ledger) -> None:
    """A broker that was away for long leaves a keeper without a job; it is there when it comes back."""
    away = [Unavailable("The broker is away.")]

    async def publish(messages: Sequence[Message]) -> None:
        if away:
            raise away.pop()

    keeping = Keeping(ledger, publish, carrier_id="test", keeper_s=30.0)
    with pytest.raises(Unavailable):
        await keeping.begin(A, submit_job(), "same")
    async with ledger.write() as conn:
        await conn.execute(keeper_rows.update().values(expires_at=keeper_rows.c.expires_at - 2 * 3600))
    await keeping.begin(A, submit_job(), "same")
    async with ledger.read() as conn:
        assert await keepers.past(conn, "test", after_s=3600.0) == []


async def test_a_job_tells_the_committer_what_is_fresh(world: World) -> None:
    """Blocks trust what they read 5 seconds ago; the committer's own setting is the cluster's."""
    begun = await begin(world, selection=Selection(ids=(1,)), conflict_check_after_s=5.0)
    async with kept(world, begun.job_id):
        await world.states(begun.job_id)
    [write] = [one for one in world.seen if isinstance(one, commands.CommitSample)]
    assert write.conflict_check_after_s == 5.0


@pytest.mark.parametrize("changes", [{"mark": "other"}, {"project_id": 8}, {"mode": "preview"}])
async def test_other_runs_have_jobs_of_their_own(world: World, changes: dict[str, object]) -> None:
    """Mark, project and mode tell runs apart."""
    mark = str(changes.pop("mark", "same"))
    first = await begin(world)
    assert (await begin(world, B, mark=mark, **changes)).job_id != first.job_id


async def test_an_ended_job_is_not_taken_over(world: World) -> None:
    """An equal run after the end is a job of its own."""
    begun = await begin(world, selection=Selection(ids=(1,)))
    async with kept(world, begun.job_id):
        await world.states(begun.job_id)
    again = await begin(world, B, selection=Selection(ids=(1,)))
    assert (again.went_on, again.job_id != begun.job_id) == (False, True)


async def test_a_job_that_never_came_is_begun_anew(world: World, ledger: Ledger) -> None:
    """Its command was lost or is late: it is cancelled, so that it cannot run beside the new one."""

    async def lose(messages: Sequence[Message]) -> None:
        raise Unavailable("Kafka is away.")

    lost = Keeping(ledger, lose, carrier_id="test", keeper_s=0.3)
    with pytest.raises(Unavailable):
        await lost.begin(A, submit_job(job_id="job of a"), "same")
    await lost.leave(A, JobId("job of a"))
    assert await begin(world, B, selection=Selection(ids=(1,))) == Begun(JobId("job of b"), went_on=False)
    async with kept(world, JobId("job of b"), B):
        assert await world.state("job of b") == "finished"
    await world.becomes("cancelled", "job of a")
