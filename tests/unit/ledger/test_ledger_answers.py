"""Forgetting answers: only old ones, in batches, on both databases."""

import sqlalchemy as sa
from labelbus_ledger.answers import AnswerKey, count_answers, forget_answers, kept_answers
from labelbus_ledger.clock import now_of
from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import answers

DAY_S = 86_400.0


async def keep(ledger: Ledger, count: int, *, days: float, model: str = "luna") -> None:
    """Keep answers that were given so many days ago."""
    async with ledger.write() as conn:
        now = (await conn.execute(sa.select(now_of(conn)))).scalar_one()
        row = {"provider": "openai", "model": model, "text": "cat", "answered_by": model,
               "input_tokens": 1, "output_tokens": 1, "cost_usd": 0.01}  # fmt: skip
        given = [
            row | {"digest": f"{days:g}-{number:04}", "answered_at": now - days * DAY_S}
            for number in range(count)
        ]
        await conn.execute(sa.insert(answers), given)


async def test_only_old_answers_are_forgotten(ledger: Ledger) -> None:
    """What is younger than the limit is still answered from the ledger."""
    await keep(ledger, 25, days=100)
    await keep(ledger, 7, days=100, model="astra")
    await keep(ledger, 3, days=1)
    assert await count_answers(ledger, older_than_s=90 * DAY_S) == (32, 35)
    assert await forget_answers(ledger, older_than_s=90 * DAY_S, at_once=10) == 32
    assert await count_answers(ledger, older_than_s=90 * DAY_S) == (0, 3)
    key = AnswerKey("openai", "luna", "1-0000")
    async with ledger.read() as conn:
        assert set(await kept_answers(conn, {key})) == {key}


async def test_nothing_old_is_nothing_to_do(ledger: Ledger) -> None:
    """An empty table, and one with new answers only, stay as they are."""
    assert await forget_answers(ledger, older_than_s=0.0) == 0
    await keep(ledger, 2, days=1)
    assert await forget_answers(ledger, older_than_s=2 * DAY_S) == 0
    assert await count_answers(ledger, older_than_s=2 * DAY_S) == (0, 2)


async def test_each_batch_is_a_transaction(ledger: Ledger) -> None:
    """Between two batches others may write: nobody waits for all of it."""
    await keep(ledger, 30, days=100)
    batches = 0
    write = ledger.write

    class Counting:
        """Stands for the ledger and counts its transactions."""

        read = staticmethod(ledger.read)

        @staticmethod
        def write() -> object:
            nonlocal batches
            batches += 1
            return write()

    assert await forget_answers(Counting, older_than_s=90 * DAY_S, at_once=10) == 30  # type: ignore[arg-type]
    assert batches == 4  # three with answers, one that found no more
