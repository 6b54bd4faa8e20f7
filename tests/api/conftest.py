"""The API on real PostgreSQL. Most tests share one database: users and keys keep them apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from runtime.settings import Settings
from tests.api.client import Api, running_api
from tests.api.issuer import Issuer, running_issuer
from tests.servers import Databases


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """The issuer of all tests that do not stop it."""
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="session")
def api_database_url(postgres_server: Databases) -> Iterator[str]:
    """One migrated database for all tests of the API."""
    with postgres_server.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def api_settings(
    api_database_url: str, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings without Temporal: nothing listens on its port."""
    return Settings(
        data_dir=tmp_path_factory.mktemp("api"),
        database_url=SecretStr(api_database_url),
        database_pool_size=5,
        temporal_address="127.0.0.1:1",
        issuer=issuer.url,
        admin_subjects=("root",),
        upload_max_bytes=200_000,
        upload_max_pixels=1_000_000,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(api_settings: Settings, issuer: Issuer) -> AsyncIterator[Api]:
    """A running application, the same for all tests."""
    async with running_api(api_settings, issuer) as running:
        yield running
