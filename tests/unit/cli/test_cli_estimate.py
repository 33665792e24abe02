"""The interval of an estimate."""

import math
import random

from labelbus_cli.estimating import Interval, total_of


def test_whole_population_is_certain() -> None:
    """Where every sample was in the pilot, nothing is estimated."""
    assert total_of([1.0, 2.0, 3.0], 3) == Interval(6.0, 6.0, 6.0)


def test_one_sample_says_nothing_of_the_spread() -> None:
    """The estimate of one sample has no upper end."""
    assert total_of([2.0], 10) == Interval(20.0, 2.0, math.inf)


def test_interval_holds_as_often_as_it_says() -> None:
    """About 95 of 100 pilots' intervals contain the true total."""
    chance = random.Random(3)
    population = [chance.lognormvariate(0, 0.5) for _ in range(200)]
    intervals = [total_of(chance.sample(population, 20), 200) for _ in range(400)]
    held = sum(one.low <= sum(population) <= one.high for one in intervals)
    assert 360 <= held <= 396
