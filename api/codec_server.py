"""`python -m api.codec_server`: Temporal's remote codec, with which operators read encrypted workflows in the Temporal UI.

Protocol: https://docs.temporal.io/production-deployment/data-encryption#codec-server-setup
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import uvicorn
from fastapi import FastAPI
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from temporalio.api.common.v1 import Payload, Payloads

from api import errors
from api.app import lifespan_of
from api.auth import Caller, OptionalUser
from api.errors import MalformedRequest
from api.middleware import BodyLimit, RequestContext
from db.engine import Database
from domain.access import Role
from domain.errors import Forbidden, Unauthenticated
from runtime.codec import EncryptionCodec, PayloadUnreadable
from runtime.leaving import leave
from runtime.logging import configure
from runtime.settings import Settings, settings

_BODY_BYTES = 16_777_216
"""What a page of the UI may hold: Temporal's own messages have at most 4 MB."""
_LOOPBACK_NAMES = ("127.0.0.1", "localhost")


def create_codec_server(settings: Settings, *, database: Database | None = None) -> FastAPI:
    """The application. Operators only, known by their token; anybody of this machine where the local issuer signs.

    Raises ValueError when `settings` name no database and none is passed in.
    """
    app = FastAPI(
        title="Baigong's codec",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan_of(settings, database),
    )
    app.state.base_url = settings.api_url
    errors.install(app)
    app.add_middleware(BodyLimit, limit=_BODY_BYTES, unlimited=())
    app.add_middleware(RequestContext)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=ui_origins(settings),
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type", "X-Namespace"],
        allow_credentials=True,
    )
    if not _needs_token(settings):
        # A name of somebody else's that leads here would make us this page's own server, which asks no CORS.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK_NAMES, settings.host])
    codec = EncryptionCodec(settings.payload_keys)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/decode")
    async def decode(request: Request, user: OptionalUser) -> Response:
        return await _recoded(request, settings, user, lambda all: _read(codec, all))

    @app.post("/encode")
    async def encode(request: Request, user: OptionalUser) -> Response:
        return await _recoded(request, settings, user, codec.encode)

    return app


def ui_origins(settings: Settings) -> list[str]:
    """Origins under which browsers know the configured Temporal UI."""
    if settings.temporal_ui_url is None:
        return []
    parts = urlsplit(settings.temporal_ui_url)
    names = _LOOPBACK_NAMES if parts.hostname in _LOOPBACK_NAMES else (parts.netloc,)
    port = f":{parts.port}" if parts.hostname in _LOOPBACK_NAMES and parts.port else ""
    return [urlunsplit((parts.scheme, f"{name}{port}", "", "", "")) for name in names]


def _needs_token(settings: Settings) -> bool:
    """Where the local issuer gives anybody an operator's token, asking for one protects nothing."""
    return settings.issuer is not None or not settings.on_loopback


async def _recoded(
    request: Request,
    settings: Settings,
    user: Caller | None,
    recode: Callable[[Sequence[Payload]], Awaitable[list[Payload]]],
) -> Response:
    if _needs_token(settings):
        if user is None:
            raise Unauthenticated("no bearer token", field="Authorization")
        if not user.roles & {Role.OPERATOR, Role.ADMIN}:
            raise Forbidden("only operators read workflows")
    elif (origin := request.headers.get("origin")) and origin not in ui_origins(settings):
        raise Forbidden("only the Temporal UI of this platform may ask from a browser")
    try:
        sent = Parse(await request.body(), Payloads(), ignore_unknown_fields=True)
    except (ParseError, ValueError) as unreadable:
        raise MalformedRequest("the body is no list of payloads", field="body") from unreadable
    answer = Payloads(payloads=await recode(sent.payloads))
    return JSONResponse(MessageToDict(answer), headers={"Cache-Control": "no-store"})


async def _read(codec: EncryptionCodec, payloads: Sequence[Payload]) -> list[Payload]:
    """In clear; in the place of what cannot be read stands why, so that the rest of the page can be read."""
    found = []
    for each in payloads:
        try:
            found += await codec.decode([each])
        except PayloadUnreadable as unreadable:
            words = json.dumps(f"CANNOT BE READ: {unreadable}").encode()
            found.append(Payload(metadata={"encoding": b"json/plain"}, data=words))
    return found


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    known = settings()
    configure(known.log_level)
    uvicorn.run(
        create_codec_server(known),
        host=known.host,
        port=known.codec_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
    leave()
