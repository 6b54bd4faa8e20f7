"""The local profile's own OpenID Connect issuer: tokens for demo users, without passwords.

`python -m deploy.local.issuer` serves discovery, keys and `POST /token` on the local address only.
It stands where a real identity provider stands in production and must never be exposed.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from pathlib import Path

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.local.errors import USAGE, LocalError
from deploy.local.postgres import write_secret
from runtime.settings import Settings, settings

ALGORITHM = "ES256"
TOKEN_SECONDS = 12 * 3_600
_KEY_FILE = "issuer-key.json"
_USER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class UserNameError(LocalError):
    """A user name the issuer gives no token for."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"user name {name[:40]!r} must be a small letter, then up to 31 of a-z 0-9 _ -",
            exit_code=USAGE,
        )


def issue_token(user: str, settings: Settings) -> str:
    """A signed token for `user`, valid for 12 hours; makes the signing key if there is none.

    UserNameError for a name outside the pattern, LocalError when another issuer is set or the
    data folder cannot be written.
    """
    if not _USER_NAME.fullmatch(user):
        raise UserNameError(user)
    if settings.issuer is not None:
        raise LocalError(f"tokens come from BAIGONG_ISSUER ({settings.issuer}), not from here")
    key = signing_key(settings.data_dir)
    now = int(time.time())
    claims = {
        "iss": settings.issuer_url,
        "aud": settings.audience,
        "sub": user,
        "name": re.sub(r"[_-]+", " ", user).strip().title(),
        "iat": now,
        "auth_time": now,
        "nbf": now,
        "exp": now + TOKEN_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def signing_key(data_dir: Path) -> ECKey:
    """The issuer's key, made on first use and kept readable by its owner only."""
    path = data_dir / _KEY_FILE
    try:
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
            with contextlib.suppress(FileExistsError):  # another process was quicker
                write_secret(path, json.dumps(fresh.as_dict(private=True)))
        return ECKey.import_key(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LocalError(
            f"cannot keep the issuer's key in {path}: {error.strerror} (BAIGONG_DATA_DIR)"
        ) from error
    except ValueError as error:
        raise LocalError(f"{path} does not hold a key; delete it to get a new one") from error


def application(settings: Settings) -> Starlette:
    """The issuer as an ASGI application."""
    issuer = settings.issuer_url

    async def discovery(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks.json",
                "token_endpoint": f"{issuer}/token",
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "claims_supported": ["iss", "aud", "sub", "name", "iat", "auth_time", "nbf", "exp"],
            }
        )

    async def jwks(_: Request) -> Response:
        key = signing_key(settings.data_dir)
        return JSONResponse({"keys": [key.as_dict(private=False)]})

    async def token(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            user = form.get("username")
        try:
            access_token = issue_token(user if isinstance(user, str) else "", settings)
        except UserNameError as error:
            description = {"error": "invalid_request", "error_description": str(error)}
            return JSONResponse(description, status_code=400)
        return JSONResponse(
            {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS},
            headers={"Cache-Control": "no-store"},
        )

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", discovery),
            Route("/jwks.json", jwks),
            Route("/token", token, methods=["POST"]),
        ],
        # A web page that points its own name at this machine must not be handed tokens.
        middleware=[
            Middleware(
                TrustedHostMiddleware, allowed_hosts=[settings.host, "127.0.0.1", "localhost"]
            )
        ],
    )


def main() -> None:
    """Serve the issuer until it is told to stop."""
    ours = settings()
    uvicorn.run(
        application(ours),
        host=ours.host,
        port=ours.issuer_port,
        log_level=ours.log_level.lower(),
        access_log=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
