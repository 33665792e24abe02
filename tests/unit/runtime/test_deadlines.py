"""The one watch over a worker's handlers."""

import asyncio

import pytest
from labelbus_runtime.deadlines import Deadlines


async def test_what_takes_too_long_is_cancelled() -> None:
    """It ends in a `TimeoutError`, and the task itself goes on."""
    deadlines = Deadlines(0.02)
    with pytest.raises(TimeoutError, match="not done within"):
        await deadlines.within(asyncio.Event().wait())
    assert await deadlines.within(asyncio.sleep(0, "next")) == "next"


async def test_somebody_elses_cancellation_passes() -> None:
    """A stop is no timeout."""
    task = asyncio.create_task(Deadlines(10).within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_beside_the_timeout_wins() -> None:
    """Who is stopped while its time runs out is stopped."""
    deadlines = Deadlines(0.01)

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.cancel()  # the stop arrives while the timeout unwinds
            raise

    task = asyncio.create_task(deadlines.within(late()))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_late_handler_leaves_the_others_alone() -> None:
    """Each has the whole time for itself."""
    deadlines = Deadlines(0.05)
    late = asyncio.create_task(deadlines.within(asyncio.Event().wait()))
    await asyncio.sleep(0.03)
    assert await deadlines.within(asyncio.sleep(0.03, "in time")) == "in time"
    with pytest.raises(TimeoutError):
        await late
