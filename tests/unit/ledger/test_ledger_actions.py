"""Actions kept by name, written by several people at once."""

import asyncio

from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_ledger import actions
from labelbus_ledger.engine import Ledger


def shapes(threshold: float) -> ActionSpec:
    """Return an action that differs by a parameter."""
    return ActionSpec(name="shapes", steps=(StepSpec(labeler="one", parameters={"threshold": threshold}),))


async def test_concurrent_revisions(ledger: Ledger) -> None:
    """Of eight people who store an action of one name at once, each gets a revision of its own."""
    stored = await asyncio.gather(*(actions.add(ledger, shapes(number / 10)) for number in range(8)))
    assert sorted(one.revision for one in stored) == list(range(1, 9))


async def test_equal_action_is_kept_once(ledger: Ledger) -> None:
    """Equal ones stored at once are one revision, also where somebody was faster."""
    stored = await asyncio.gather(*(actions.add(ledger, shapes(0.5)) for _ in range(8)))
    assert {one.revision for one in stored} == {1}
