"""Questions that many ask at the same time are looked up once."""

import asyncio
from collections.abc import Callable

import pytest
from labelbus_dispatcher.looks import Looks


class Slow:
    """A look that takes two seconds of a clock of its own, and answers how often it was made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made = 0

    async def __call__(self, question: str) -> int:
        self.made += 1
        await asyncio.sleep(0)
        self.now += 2.0
        if question == "broken":
            raise ValueError(question)
        return self.made

    @property
    def clock(self) -> Callable[[], float]:
        return lambda: self.now


async def test_equal_questions_are_one_look() -> None:
    """A hundred watchers of a job cost no more than one; another job is looked at by itself."""
    slow = Slow()
    looks = Looks(slow, slow.clock)
    assert set(await asyncio.gather(*(looks("job") for _ in range(100)))) == {1}
    assert await looks("other") == 2


async def test_an_answer_is_kept_three_times_as_long_as_it_took() -> None:
    """So that what takes long cannot take all the time, and what takes none is always fresh."""
    slow = Slow()
    looks = Looks(slow, slow.clock)
    assert await looks("job") == 1
    slow.now += 5.9
    assert await looks("job") == 1
    slow.now += 0.1
    assert await looks("job") == 2


async def test_a_look_that_fails_is_made_again() -> None:
    """Nobody is answered by another one's failure."""
    slow = Slow()
    looks = Looks(slow, slow.clock)
    for made in (1, 2):
        with pytest.raises(ValueError, match="broken"):
            await looks("broken")
        assert slow.made == made


async def test_old_answers_are_forgotten() -> None:
    """Memory does not grow with the questions that were ever asked."""
    slow = Slow()
    looks = Looks(slow, slow.clock)
    for number in range(10):
        await looks(str(number))
        slow.now += 100.0
    assert len(looks._known) == 1
