"""What the API needs to answer: one typed object, built at start and handed to routes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request
from temporalio.client import Client

from api.tokens import TokenVerifier
from db.engine import Database
from db.queries.slow_counts import SlowCounts
from providers.base import PaymentProvider
from providers.registry import ProviderRegistry
from runtime.settings import Settings
from runtime.storage import FileStore


@dataclass(frozen=True)
class Services:
    """The parts of the platform behind the API."""

    settings: Settings
    database: Database
    temporal: Client
    files: FileStore
    providers: ProviderRegistry
    verifier: TokenVerifier
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Bounds how many uploaded pictures are decoded at once: each can need 8 bytes a pixel."""
    counting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Bounds how many ballots are counted again at once: each reads every vote."""

    counts: SlowCounts = field(default_factory=SlowCounts)
    """What was counted a moment ago of campaigns with very many pledges."""

    @property
    def provider(self) -> PaymentProvider:
        """The provider that new payments and payouts use."""
        return self.providers.get(self.settings.provider)


async def services_of(request: Request) -> Services:
    """The services of the application that serves this request."""
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(services_of)]
