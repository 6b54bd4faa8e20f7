"""One platform with one of everything, which the tests of access share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.security.world import World, world_of
from tests.stories.conftest import house, issuer
from tests.stories.house import House

__all__ = ["house", "issuer", "world"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(house: House) -> AsyncIterator[World]:
    """Everything is made once; the tests leave it as it is, but for the one that acts, which comes last."""
    async with world_of(house) as made:
        yield made
