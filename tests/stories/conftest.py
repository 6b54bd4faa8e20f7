"""One running platform per test worker; people of their own keep the tests apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.api.issuer import Issuer, running_issuer
from tests.servers import Databases
from tests.stories.house import House, running_house


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Signs everybody's tokens."""
    with running_issuer() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """The platform most stories share."""
    with postgres_server.fresh() as url:
        folder = tmp_path_factory.mktemp("house")
        async with running_house(dev_server, url, issuer, folder) as running:
            # Refunds cost the platform the provider's fees; without money of its own its payouts would fail.
            vase = await running.listing("treasurer", price=100_000_000)
            await running.paid(vase, by="patron")
            yield running
