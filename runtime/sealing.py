"""Sealing of what people must tell us and nobody else may read: AES-256-GCM under a key of the settings.

The database holds only what is sealed; `about` binds it to its owner and field, so that it cannot be moved elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

NONCE_BYTES = 12


class CannotUnseal(Exception):
    """Sealed under another key, or about something else."""


def seal(key: SecretStr, text: str, about: str) -> bytes:
    """The sealed text; each time another one."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + cipher(key).encrypt(nonce, text.encode(), about.encode())


def unseal(key: SecretStr, sealed: bytes, about: str) -> str:
    """The text again. Raises CannotUnseal."""
    try:
        opened = cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
    except InvalidTag as wrong:
        raise CannotUnseal(f"{about} was sealed under another key") from wrong
    return opened.decode()


def cipher(key: SecretStr) -> AESGCM:
    """The cipher of a secret of any length."""
    return AESGCM(hashlib.sha256(key.get_secret_value().encode()).digest())
