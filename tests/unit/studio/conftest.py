"""A Studio for each test, and a client of it."""

from collections.abc import AsyncIterator

import pytest
from labelbus_studio import StudioClient
from labelbus_studio.testing import ScriptedStudio


@pytest.fixture
def studio() -> ScriptedStudio:
    """Return a Studio that agrees to everything."""
    return ScriptedStudio()


@pytest.fixture
async def client(studio: ScriptedStudio) -> AsyncIterator[StudioClient]:
    """Return a client of the Studio."""
    async with studio.client() as one:
        yield one
