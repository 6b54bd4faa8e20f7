"""An OpenID Connect issuer for the tests: real HTTP, keys and tokens of our choice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

AUDIENCE = "baigong"
KEYS: dict[str, Key] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
}
STRANGE_KEY: Key = ECKey.generate_key("P-256", {"kid": "strange", "use": "sig"})
"""A key the issuer does not publish."""


class Issuer:
    """Serves a discovery document and a key set, counts how often it is asked, and signs tokens."""

    def __init__(self) -> None:
        self.published = list(KEYS.values())
        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stops serving and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": issuer.discovery,
                    "/keys": issuer.key_set,
                }
                body = json.dumps(documents[self.path]()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler

    def discovery(self) -> dict[str, str]:
        """The discovery document."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    def key_set(self) -> dict[str, list[dict[str, object]]]:
        """The public keys."""
        self.asked += 1
        return {"keys": [dict(key.as_dict(private=False)) for key in self.published]}

    def claims(self, subject: str, **changes: object) -> dict[str, object]:
        """The claims of a good token, changed; a change to None leaves the claim out."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "name": subject.capitalize(),
            "iat": now,
            "auth_time": now,
            "exp": now + 3_600,
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject: str, *, algorithm: str = "ES256", **changes: object) -> str:
        """A token of this issuer."""
        key = KEYS[algorithm]
        return sign(self.claims(subject, **changes), key, algorithm, kid=key.kid)


def sign(claims: dict[str, object], key: Key, algorithm: str, *, kid: str | None = None) -> str:
    """A signed token; without `kid` its header names no key."""
    header = {"alg": algorithm} | ({"kid": kid} if kid else {})
    return jwt.encode(header, claims, key, algorithms=[algorithm])


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer on a free port, stopped afterwards."""
    issuer = Issuer()
    try:
        yield issuer
    finally:
        issuer.stop()
