"""What Temporal is given to store: opened by its keys, and by nothing that is not exactly what was closed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure

from domain.errors import Unavailable
from runtime.codec import EncryptionCodec, PayloadForged, PayloadKeyMissing, key_of
from runtime.settings import Settings
from runtime.temporal import data_converter
from runtime.temporal_errors import domain_error_of

OLD, NEW = SecretStr("old secret " * 4), SecretStr("new secret " * 4)
LONG = "x" * 33
LETTER = Payload(
    metadata={"encoding": b"json/plain", "type": b"Letter"}, data='"给林：竹灯 12 盏"'.encode()
)


def codec(**keys: SecretStr) -> EncryptionCodec:
    """With these keys, the first one for writing."""
    return EncryptionCodec(keys)


async def closed(payload: Payload, **keys: SecretStr) -> Payload:
    """As it is stored."""
    [stored] = await codec(**keys).encode([payload])
    return stored


@settings(max_examples=40, deadline=None)
@given(
    data=st.binary(max_size=2_000),
    metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=5),
)
async def test_every_payload_comes_back_as_it_was(data: bytes, metadata: dict[str, bytes]) -> None:
    payload = Payload(metadata=metadata, data=data)
    stored = await closed(payload, old=OLD)
    assert set(stored.metadata) == {"encoding", "encryption-key-id"}
    assert len(data) < 12 or data not in stored.data
    assert await codec(old=OLD).decode([stored]) == [payload]


async def test_the_same_payload_never_looks_the_same() -> None:
    first, second = await codec(old=OLD).encode([LETTER, LETTER])
    assert first.data != second.data


async def test_the_first_key_writes_and_all_read() -> None:
    before = await closed(LETTER, old=OLD)
    turned = codec(new=NEW, old=OLD)
    [after] = await turned.encode([LETTER])
    assert [key_of(each) for each in (LETTER, before, after)] == [None, "old", "new"]
    assert await turned.decode([LETTER, before, after]) == [LETTER, LETTER, LETTER]


@pytest.mark.parametrize("keys", [{}, {"new": NEW}], ids=["no key", "another key"])
async def test_a_missing_key_is_named(keys: Mapping[str, SecretStr]) -> None:
    stored = await closed(LETTER, old=OLD)
    with pytest.raises(PayloadKeyMissing, match=r"'old'.*BAIGONG_PAYLOAD_KEYS") as missing:
        await EncryptionCodec(keys).decode([stored])
    assert missing.value.key_id == "old"
    # Callers of the API can try again once the operator has given it the key.
    assert isinstance(domain_error_of(missing.value), Unavailable)


async def test_a_changed_payload_is_refused_whatever_is_changed() -> None:
    stored = await closed(LETTER, old=OLD, new=OLD)
    for place in range(len(stored.data)):
        changed = bytearray(stored.data)
        changed[place] ^= 1
        with pytest.raises(PayloadForged, match="'old'"):
            await codec(old=OLD).decode([Payload(metadata=stored.metadata, data=bytes(changed))])
    for cut in (0, 5, 12, len(stored.data) - 1):
        with pytest.raises(PayloadForged):
            await codec(old=OLD).decode([Payload(metadata=stored.metadata, data=stored.data[:cut])])
    # The id of the key is authenticated, so even the same secret under another id does not open it.
    moved = Payload(metadata={**stored.metadata, "encryption-key-id": b"new"}, data=stored.data)
    with pytest.raises(PayloadForged, match="'new'"):
        await codec(old=OLD, new=OLD).decode([moved])


async def test_another_secret_under_an_id_that_was_used_is_refused() -> None:
    stored = await closed(LETTER, old=OLD)
    with pytest.raises(PayloadForged, match="never be used again"):
        await codec(old=NEW).decode([stored])


async def test_words_of_failures_are_encrypted_with_their_causes() -> None:
    converter = data_converter(Settings(payload_keys={"old": OLD}))
    failure = Failure()
    try:
        try:
            raise ValueError("Lin lives in Lane 7")
        except ValueError as cause:
            raise RuntimeError("no lamp for Lin") from cause
    except RuntimeError as raised:
        await converter.encode_failure(raised, failure)
    assert "Lin" not in str(failure)
    assert "Lane" not in str(failure)
    again = await converter.decode_failure(failure)
    assert "no lamp for Lin" in str(again)
    assert "Lane 7" in str(again.__cause__)


@pytest.mark.parametrize(
    "keys",
    [{"a": "too short"}, {"A b": LONG}, {"": LONG}],
    ids=["a short secret", "no name", "an empty name"],
)
def test_keys_that_protect_nothing_are_refused(
    keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAIGONG_PAYLOAD_KEYS", json.dumps(keys))
    with pytest.raises(ValidationError, match="payload_keys"):
        Settings()


def test_keys_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAIGONG_PAYLOAD_KEYS", json.dumps({"z": LONG, "a": LONG[1:]}))
    assert list(Settings().payload_keys) == ["z", "a"]
