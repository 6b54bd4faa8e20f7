"""Encryption of what Temporal stores: every payload leaves the process as AES-256-GCM under a named key of the settings."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.converter import PayloadCodec

from runtime.sealing import NONCE_BYTES, cipher

_ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_SDK_NOTES = frozenset({"data", "patch-data"})
"""Parts of markers that the SDK's core writes past the codec."""


class PayloadUnreadable(Exception):
    """A payload cannot be decrypted by this process."""


class PayloadKeyMissing(PayloadUnreadable):
    """A payload needs a key that this process was not given: add it to BAIGONG_PAYLOAD_KEYS, behind the first one."""

    def __init__(self, key_id: str, known: Sequence[str]) -> None:
        super().__init__(
            f"a payload needs the key {key_id!r}, which is not in BAIGONG_PAYLOAD_KEYS of this process"
            f" (it has {', '.join(known) or 'none'}): add it there, behind the first one"
        )
        self.key_id = key_id


class PayloadForged(PayloadUnreadable):
    """A payload is not what was encrypted, or another secret stands under the id of its key."""


def key_of(payload: Payload) -> str | None:
    """Id of the key that a payload as stored needs; None when it is not encrypted."""
    if payload.metadata.get("encoding") != _ENCODING:
        return None
    return payload.metadata.get(_KEY_ID, b"").decode(errors="replace")


def keys_in(message: Message) -> set[str | None]:
    """Ids of the keys of all payloads in what Temporal hands out; None among them for payloads in clear.

    Search attributes, headers and the SDK's own notes about patches and local activities do not count: no codec
    touches them, and they hold nothing but ids, names and times.
    """
    if isinstance(message, Payload):
        return {key_of(message)}
    if isinstance(message, SearchAttributes | Header):
        return set()
    return {key for each in _messages_in(message) for key in keys_in(each)}


def _messages_in(message: Message) -> Iterator[Message]:
    is_marker = isinstance(message, MarkerRecordedEventAttributes)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if is_marker and field.name == "details":
            value = {name: each for name, each in value.items() if name not in _SDK_NOTES}
        if isinstance(value, Message):
            yield value
        else:
            values = value.values() if field.message_type.GetOptions().map_entry else value
            yield from (each for each in values if isinstance(each, Message))


class EncryptionCodec(PayloadCodec):
    """Encrypts under the first key, decrypts under all of them; what was stored in clear before is read as it is.

    A payload is encrypted whole, its metadata too. Beside it stands in clear, and authenticated, only the id of the key.
    """

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        """Without any key it encrypts nothing, and tells which key is missing instead of handing out what it cannot read."""
        self._ciphers = {key_id: cipher(secret) for key_id, secret in keys.items()}
        self._writes_with = next(iter(keys), None)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads, each encrypted with a nonce of its own."""
        if self._writes_with is None:
            return list(payloads)
        return [self._encrypted(each, self._writes_with) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads in clear. Raises PayloadKeyMissing and PayloadForged."""
        return [self._decrypted(each) for each in payloads]

    def _encrypted(self, payload: Payload, key_id: str) -> Payload:
        nonce = secrets.token_bytes(NONCE_BYTES)
        clear = payload.SerializeToString()
        return Payload(
            metadata={"encoding": _ENCODING, _KEY_ID: key_id.encode()},
            data=nonce + self._ciphers[key_id].encrypt(nonce, clear, _beside(key_id)),
        )

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = key_of(payload)
        if key_id is None:
            return payload
        if key_id not in self._ciphers:
            raise PayloadKeyMissing(key_id, list(self._ciphers))
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            clear = self._ciphers[key_id].decrypt(nonce, sealed, _beside(key_id))
        except (InvalidTag, ValueError) as forged:
            raise PayloadForged(
                f"a payload is not what was encrypted under the key {key_id!r}, or another secret has"
                " that id now: ids of keys must never be used again"
            ) from forged
        return Payload.FromString(clear)


def _beside(key_id: str) -> bytes:
    return b"\n".join((_ENCODING, key_id.encode()))
