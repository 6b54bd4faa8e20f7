"""Which payment companies this platform talks to."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from domain.errors import NotFound
from providers.base import PaymentProvider
from providers.sandbox import SandboxProvider
from runtime.settings import Settings


class ProviderRegistry:
    """The providers of one process by code; closes their connections at the end."""

    def __init__(self, providers: Mapping[str, PaymentProvider]) -> None:
        self._providers = dict(providers)

    def get(self, code: str) -> PaymentProvider:
        """The provider with this code. Raises NotFound."""
        try:
            return self._providers[code]
        except KeyError:
            raise NotFound("no such payment provider") from None

    @property
    def codes(self) -> list[str]:
        """All codes, sorted."""
        return sorted(self._providers)

    async def aclose(self) -> None:
        """Closes every provider's connections."""
        for provider in self._providers.values():
            await provider.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def build_providers(settings: Settings) -> ProviderRegistry:
    """The providers the settings describe; make it inside the event loop that uses it.

    Raises NotFound when `settings.provider` is none of them, ValueError for a malformed webhook secret.
    """
    sandbox = SandboxProvider(
        base_url=settings.sandbox_base_url,
        api_key=settings.sandbox_api_key.get_secret_value(),
        webhook_secret=settings.sandbox_webhook_secret.get_secret_value(),
        webhook_tolerance_seconds=settings.webhook_tolerance_seconds,
    )
    registry = ProviderRegistry({sandbox.code: sandbox})
    registry.get(settings.provider)
    return registry
