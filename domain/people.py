"""What the platform knows about people besides their name: who they are, whom they are tied to, whether they may act."""

from __future__ import annotations

import hmac
import re
import unicodedata
from enum import StrEnum

from domain.capabilities import Capability
from domain.errors import InvalidInput
from domain.model import Message

_DOCUMENT = re.compile(r"[A-Z]{2}:[A-Z0-9]{4,40}")


class TieKind(StrEnum):
    """Why two accounts count as one person, the strongest reason first."""

    SAME_PERSON = "same_person"
    """It is the same account."""
    SAME_IDENTITY = "same_identity"
    """Both are verified with the same document."""
    SAME_DESTINATION = "same_destination"
    """Both have had the same payout destination at some time."""


class Tie(Message):
    """Somebody who counts as the same person, and why."""

    other_id: str
    kind: TieKind


class AccountEvent(StrEnum):
    """What operators, or the platform itself, do to an account."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    LIMITED = "limited"
    """One capability is taken away."""
    ALLOWED = "allowed"
    """It is given back."""
    REVIEW_ASKED = "review_asked"
    """Somebody asks for a look at the account; nothing is taken away by that."""
    CLOSING = "closing"
    """Its owner wants it closed; its money leaves first."""
    CLOSING_CANCELLED = "closing_cancelled"
    CLOSED = "closed"


class AccountState(StrEnum):
    """How far an account may act, the worst that holds."""

    ACTIVE = "active"
    REVIEW = "review"
    """An operator is to look at it; it may do everything meanwhile."""
    LIMITED = "limited"
    FROZEN = "frozen"
    CLOSING = "closing"
    """Begins nothing any more; its money leaves."""
    CLOSED = "closed"
    """For good: nobody can sign in to it."""


CLOSED_NAME = "Closed account"


def account_state(
    *, closing: bool, closed: bool, frozen: bool, limited: bool, in_review: bool
) -> AccountState:
    """How far an account may act."""
    if closing:
        return AccountState.CLOSED if closed else AccountState.CLOSING
    if frozen:
        return AccountState.FROZEN
    if limited:
        return AccountState.LIMITED
    return AccountState.REVIEW if in_review else AccountState.ACTIVE


class AccountChange(Message):
    """Freeze or limit an account, or end that, once by `key`."""

    key: str
    user_id: str
    event: AccountEvent
    reason: str
    by: str | None
    """The operator's user id; None for the platform itself."""
    capability: Capability | None = None
    """What is taken away or given back; None when it is the whole account."""


def document_number(text: str) -> str:
    """A document as country code, colon and number in one spelling: upper case, without spaces and hyphens.

    Full-width characters count as the plain ones they stand for. Raises InvalidInput, which does not repeat the number.
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    spelt = "".join(ch for ch in plain if not ch.isspace() and ch != "-")
    if not _DOCUMENT.fullmatch(spelt):
        raise InvalidInput(
            "this is not a document number",
            field="document",
            accepted="a country code of two letters, a colon, and 4 to 40 letters and digits",
        )
    return spelt


def identity_hash(key: bytes, document: str) -> str:
    """HMAC-SHA-256 of a document in its one spelling, in hex: equal for the same document, worthless without `key`."""
    return hmac.digest(key, document.encode(), "sha256").hex()
