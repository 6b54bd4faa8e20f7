"""One-tap links: what a maker can say by opening a link and pressing one button, without signing in.

The token carries what it does, for which stay of the lot in its phase, and until when, under an HMAC: nothing of it can
be changed, and nothing has to be stored. It is a key to one act on one lot: it ends with the step that it is about, and
works once.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from typeid import TypeID

from domain.errors import NotFound, WrongPhase
from domain.lot import Course, HandIn, Phase
from domain.model import Instant, Message

_FORM = struct.Struct(">16sBBHII")
"""The lot's UUID; what it does, and the highest bit for a broker; rounds of rework; kits lost; number; expiry."""
_MAC_BYTES = 16
_BROKER = 0x80


class Does(StrEnum):
    """What a tap says."""

    KIT_RECEIVED = "kit_received"
    WORKING = "working"
    """The work goes on."""
    ALL_SENT = "all_sent"
    """Everything is made and on its way; nothing comes back unused or spoiled."""
    AGREED = "agreed"
    """The rejected units are rejected for good reason."""


_NUMBERS = {Does.KIT_RECEIVED: 1, Does.WORKING: 2, Does.ALL_SENT: 3, Does.AGREED: 4}
"""In tokens; never changed."""
_BY_NUMBER = {number: does for does, number in _NUMBERS.items()}


class Tap(Message):
    """One thing that can be said by one tap."""

    lot_id: str
    does: Does
    kits_lost: int = 0
    rework_rounds: int = 0
    """Both tell one stay in a phase from another."""
    number: int
    """Of the lot's transition: each notice has taps of its own."""
    by_broker: bool = False
    """Whether the broker was told, who acts for the maker."""
    expires_at: Instant
    """Whole seconds."""

    @property
    def phase(self) -> Phase:
        """Where the lot has to stand."""
        match self.does:
            case Does.KIT_RECEIVED:
                return Phase.KIT_SHIPPED
            case Does.WORKING:
                return Phase.MAKING
            case Does.ALL_SENT:
                return Phase.REWORK if self.rework_rounds else Phase.MAKING
            case Does.AGREED:
                return Phase.DECIDED


def tap(
    lot_id: str, does: Does, course: Course, number: int, expires_at: datetime, *, by_broker: bool
) -> Tap:
    """What can be said while the lot stays where it is now."""
    return Tap(
        lot_id=lot_id,
        does=does,
        kits_lost=course.kits_lost,
        rework_rounds=course.rework_rounds,
        number=number,
        by_broker=by_broker,
        expires_at=expires_at.replace(microsecond=0),
    )


def outdated(found: Tap, phase: str, course: Course) -> WrongPhase | None:
    """What a link is answered whose lot has gone on since it was sent; None while the lot stays."""
    stays = (course.kits_lost, course.rework_rounds) == (found.kits_lost, found.rework_rounds)
    if phase == found.phase and stays:
        return None
    return WrongPhase(
        f"the link was for a lot that is {found.phase}, and it is {phase} now",
        field="phase",
        accepted="the link of a newer notice",
    )


def hand_in_of(course: Course) -> HandIn:
    """What is sent when everything is sent."""
    return HandIn(made=course.in_rework or course.units)


def token_of(key: bytes, found: Tap) -> str:
    """The tap as a link carries it: 59 letters, digits, hyphens and underscores."""
    said = _FORM.pack(
        TypeID.from_string(found.lot_id).uuid.bytes,
        _NUMBERS[found.does] | (_BROKER if found.by_broker else 0),
        found.rework_rounds,
        found.kits_lost,
        found.number,
        int(found.expires_at.timestamp()),
    )
    return urlsafe_b64encode(said + _mac(key, said)).decode().rstrip("=")


def read_token(key: bytes, token: str) -> Tap:
    """The tap that a link carries. Raises NotFound for anything that was not made under this key."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (NotBase64, ValueError):
        raise _forged() from None
    said, mac = raw[: _FORM.size], raw[_FORM.size :]
    genuine = hmac.compare_digest(mac, _mac(key, said))
    # One tap has one spelling: base64 leaves room for others.
    if not genuine or urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise _forged()
    lot, does, rounds, kits_lost, number, expires = _FORM.unpack(said)
    return Tap(
        # typeid names the UUID of another library, and takes the standard one as well.
        lot_id=str(TypeID.from_uuid(UUID(bytes=lot), prefix="lot")),  # type: ignore[arg-type]
        does=_BY_NUMBER[does & ~_BROKER],
        kits_lost=kits_lost,
        rework_rounds=rounds,
        number=number,
        by_broker=bool(does & _BROKER),
        expires_at=datetime.fromtimestamp(expires, UTC),
    )


def tap_key(token: str) -> str:
    """Names what is done with a token, once; the token cannot be told from it."""
    return f"tap-{hashlib.sha256(token.encode()).hexdigest()}"


def _mac(key: bytes, said: bytes) -> bytes:
    # Under a name of its own, so that the key could serve other purposes without making taps.
    return hmac.digest(key, b"baigong tap 1\0" + said, "sha256")[:_MAC_BYTES]


def _forged() -> NotFound:
    return NotFound(
        "there is no such link", field="token", accepted="the link as it was sent, to its end"
    )
