"""Verifies bearer tokens of one OpenID Connect issuer: discovery document, key set, signature, claims."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from api.schemas.base import printable
from domain.errors import Unauthenticated, Unavailable
from runtime.logging import logger

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Public-key signatures only: `none` and shared-secret algorithms would let anybody who knows the keys sign."""
LEEWAY_SECONDS = 30
"""How far the issuer's clock may be off."""
MAX_TOKEN_CHARACTERS = 16_384
REFRESH_AT_MOST_EVERY_SECONDS = 3.0
"""Least time between two looks at the issuer, so that made-up key ids cannot make us hammer it."""
KEYS_FRESH_SECONDS = 600.0
"""After this long the key set is fetched again, so that withdrawn keys stop to count."""

_log = logger("api.tokens")


@dataclass(frozen=True)
class Identity:
    """Whom a token stands for."""

    issuer: str
    subject: str
    name: str | None
    signed_in_at: int | None
    """When they last signed in (`auth_time`), in seconds since 1970; None when the issuer does not tell."""


class TokenVerifier:
    """Knows the keys of one issuer and fetches them when it must."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        http: httpx.AsyncClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._http = http
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._issued_by = issuer
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def verify(self, token: str) -> Identity:
        """Whom the token stands for.

        Raises Unauthenticated for any token that is not acceptable, and Unavailable when the issuer's keys are
        not known and the issuer cannot be asked.
        """
        kid = _key_id(token)
        if not self._keys or self._clock() - self._fetched_at > KEYS_FRESH_SECONDS:
            await self._refresh()
        candidates = self._candidates(kid)
        if not candidates:
            await self._refresh()
            candidates = self._candidates(kid)
        for key in candidates:
            try:
                claims = jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            return self._identity(claims)
        raise Unauthenticated("the token is not signed by a key of the issuer")

    def _candidates(self, kid: str | None) -> tuple[Key, ...]:
        return self._keys if kid is None else tuple(k for k in self._keys if k.kid == kid)

    def _identity(self, claims: dict[str, object]) -> Identity:
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issued_by},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError:
            raise Unauthenticated("the token has expired") from None
        except (MissingClaimError, InvalidClaimError) as wrong:
            raise Unauthenticated(f"claim not acceptable: {wrong.description}") from None
        subject, name = claims["sub"], claims.get("name") or claims.get("preferred_username")
        if not isinstance(subject, str) or not _storable(subject, 255):
            raise Unauthenticated("claim not acceptable: sub")
        shown = name.strip() if isinstance(name, str) else ""
        told = claims.get("auth_time")
        return Identity(
            issuer=self._issued_by,
            subject=subject,
            name=shown if _storable(shown, 80) else None,
            signed_in_at=told if isinstance(told, int) and not isinstance(told, bool) else None,
        )

    async def _refresh(self) -> None:
        """Fetches the key set, once for all who wait; keeps the old one when the issuer does not answer."""
        async with self._fetching:
            if self._clock() - self._tried_at < REFRESH_AT_MOST_EVERY_SECONDS:
                pass
            else:
                self._tried_at = self._clock()
                try:
                    self._issued_by, self._keys = await self._fetch()
                    self._fetched_at = self._clock()
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError) as lost:
                    _log.warning("issuer not usable", issuer=self._issuer, error=repr(lost))
        if not self._keys:
            raise Unavailable("the issuer of bearer tokens cannot be reached")

    async def _fetch(self) -> tuple[str, tuple[Key, ...]]:
        base = self._issuer.rstrip("/")
        found = (
            await self._http.get(f"{base}/.well-known/openid-configuration")
        ).raise_for_status()
        document = found.json()
        issuer = str(document["issuer"])
        if issuer.rstrip("/") != base:
            raise ValueError(f"discovery document of another issuer: {issuer[:200]}")
        answer = (await self._http.get(str(document["jwks_uri"]))).raise_for_status()
        keys = [key for key in (_imported(raw) for raw in answer.json()["keys"]) if key]
        if not keys:
            raise ValueError("the issuer publishes no usable key")
        return issuer, tuple(keys)


def _imported(raw: dict[str, str | list[str]]) -> Key | None:
    """The public key, or None for kinds of keys that no accepted algorithm uses."""
    if raw.get("kty") not in {"RSA", "EC", "OKP"} or raw.get("use", "sig") != "sig":
        return None
    try:
        key = KeySet.registry_cls.import_key(raw)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _key_id(token: str) -> str | None:
    """The `kid` of the header. Raises Unauthenticated when this is no signed JWT or its algorithm is not accepted."""
    if len(token) > MAX_TOKEN_CHARACTERS or token.count(".") != 2:
        raise Unauthenticated("the token is not a signed JWT")
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise Unauthenticated("the token is not a signed JWT") from None
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise Unauthenticated(
            "the token's algorithm is not accepted", accepted=", ".join(ALGORITHMS)
        )
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise Unauthenticated("the token is not a signed JWT")
    return kid


def _storable(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and printable(text)
