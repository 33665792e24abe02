"""Hypothesis runs without a stopwatch: the machine is shared."""

from hypothesis import settings

settings.register_profile("shared", deadline=None, max_examples=60)
settings.load_profile("shared")
