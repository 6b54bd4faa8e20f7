"""Packs of evidence: everything that speaks in a dispute or chargeback, as it stood when it was put together."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from pydantic import Field, JsonValue

from domain.accounts import Account, Side
from domain.model import Instant, Message
from domain.money import Currency, MinorUnits, format_money

MOST_EACH = 500
"""Of a longer list only the newest so many are put into a pack; nobody reads more."""
_ADDRESS = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+\.[^\s@<>,;:]+")
_PAYERS = frozenset({"buyer", "initiator", "backer", "requester", "asker"})
"""Roles in which somebody acts on what they have paid for."""


class PackOf(StrEnum):
    """What a pack of evidence is for."""

    CHARGEBACK = "chargeback"
    DISPUTE = "dispute"


class AgreedFact(Message):
    """One point of the terms that were frozen when the path began, by its dotted name."""

    name: str
    value: str


class TimelineFact(Message):
    """Something that happened on the path."""

    at: Instant
    kind: str
    actor: str
    """The role that acted."""
    summary: str


class ScanFact(Message):
    """What a carrier has said about a parcel."""

    at: Instant
    """When we heard of it."""
    kind: str


class ParcelFact(Message):
    """A parcel of the path."""

    what: str
    """goods, kit or reward."""
    carrier: str | None
    tracking_number: str
    scans: tuple[ScanFact, ...] = ()


class MoneyFact(Message):
    """One posting of the path."""

    at: Instant
    kind: str
    account: Account
    side: Side
    amount: MinorUnits
    currency: Currency


class PathFacts(Message):
    """What is known of one path."""

    path_id: str
    kind: str
    phase: str
    opened_at: Instant
    closed_at: Instant | None
    agreed: tuple[AgreedFact, ...]
    timeline: tuple[TimelineFact, ...]
    parcels: tuple[ParcelFact, ...]
    money: tuple[MoneyFact, ...]

    @property
    def confirmations(self) -> tuple[TimelineFact, ...]:
        """What the one who paid has done with their own hands."""
        return tuple(each for each in self.timeline if each.actor in _PAYERS)


class PaymentFact(Message):
    """A payment, and when it moved on."""

    payment_id: str
    reference: str | None
    """The provider's name of it."""
    payer_id: str
    amount: MinorUnits
    currency: Currency
    purpose: str
    asked_at: Instant
    captured_at: Instant | None
    settled_at: Instant | None


class MessageFact(Message):
    """What one of the people wrote to another."""

    at: Instant
    author_id: str
    role: str
    to_id: str
    subject: str
    body: str
    file_ids: tuple[str, ...]


class NoteFact(Message):
    """What somebody handed in for the pack."""

    at: Instant
    author_id: str
    role: str
    words: str
    file_ids: tuple[str, ...]


class FileFact(Message):
    """A photo or document; its bytes are kept under `sha256`."""

    file_id: str
    owner_id: str
    name: str
    media_type: str
    size_bytes: int = Field(ge=0)
    sha256: str


class EvidencePack(Message):
    """Everything that speaks, with no e-mail address, no token and no account at a bank in it."""

    of: PackOf
    of_id: str
    paths: tuple[PathFacts, ...]
    payments: tuple[PaymentFact, ...]
    messages: tuple[MessageFact, ...]
    notes: tuple[NoteFact, ...]
    files: tuple[FileFact, ...]

    @property
    def canonical(self) -> str:
        """Its one form as text: JSON with sorted keys and no spaces."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """Hash of the canonical form, hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def for_party(self, user_id: str) -> EvidencePack:
        """The part that is shown to one of the people: of words and files only what is theirs, no other people's money."""
        messages = tuple(each for each in self.messages if user_id in (each.author_id, each.to_id))
        notes = tuple(each for each in self.notes if each.author_id == user_id)
        shown = {file_id for each in messages for file_id in each.file_ids}
        shown |= {file_id for each in notes for file_id in each.file_ids}
        paths = tuple(
            each.model_copy(
                update={
                    "money": tuple(line for line in each.money if line.account.owner == user_id)
                }
            )
            for each in self.paths
        )
        return self.model_copy(
            update={
                "paths": paths,
                "payments": tuple(each for each in self.payments if each.payer_id == user_id),
                "messages": messages,
                "notes": notes,
                "files": tuple(
                    each for each in self.files if each.owner_id == user_id or each.file_id in shown
                ),
            }
        )


def agreed_facts(terms: Mapping[str, JsonValue]) -> tuple[AgreedFact, ...]:
    """The frozen terms as a flat list, in their order; what is empty is left out."""
    return tuple(AgreedFact(name=name, value=value) for name, value in _flat("", dict(terms)))


def _flat(name: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}" if name else key, each)
    elif isinstance(value, list):
        for number, each in enumerate(value, start=1):
            yield from _flat(f"{name}.{number}", each)
    elif value not in (None, ""):
        yield name, without_addresses(str(value))


def without_addresses(text: str) -> str:
    """The text with its e-mail addresses made unreadable: they prove nothing and belong to people."""
    return _ADDRESS.sub("[e-mail address]", text)


def statement(pack: EvidencePack) -> str:
    """What the pack shows, in a few sentences."""
    lines = []
    for each in pack.payments:
        amount = format_money(each.amount, each.currency)
        when = f", captured {_when(each.captured_at)}" if each.captured_at else ""
        lines.append(f"{amount} was paid for the {each.purpose}{when}.")
    for path in pack.paths:
        lines.append(f"The {path.kind} began {_when(path.opened_at)} and is {path.phase}.")
        lines += [f"{_when(each.at)} {each.actor}: {each.summary}" for each in path.confirmations]
    lines += [f"{_when(each.at)} {each.role}: {each.words}" for each in pack.notes]
    lines.append(f"SHA-256 of everything on file: {pack.sha256}")
    return "\n".join(lines)


def sections(pack: EvidencePack) -> tuple[tuple[str, str], ...]:
    """The pack as texts with their titles, for somebody who reads no JSON; empty ones are left out."""
    found = [
        (
            "What was agreed",
            [f"{each.name}: {each.value}" for p in pack.paths for each in p.agreed],
        ),
        (
            "What happened",
            [
                f"{_when(each.at)} {each.actor} {each.kind}: {each.summary}"
                for path in pack.paths
                for each in path.timeline
            ],
        ),
        ("Parcels", [_parcel(each) for path in pack.paths for each in path.parcels]),
        (
            "Messages",
            [f"{_when(each.at)} {each.role}: {each.subject} {each.body}" for each in pack.messages],
        ),
        (
            "Money",
            [
                f"{_when(each.at)} {each.kind}: {each.side} {each.account.kind} "
                + format_money(each.amount, each.currency)
                for path in pack.paths
                for each in path.money
            ],
        ),
    ]
    return tuple((title, "\n".join(lines)) for title, lines in found if lines)


def _parcel(parcel: ParcelFact) -> str:
    scans = ", ".join(f"{each.kind} {_when(each.at)}" for each in parcel.scans) or "no scan"
    return f"{parcel.what}: {parcel.carrier or 'no carrier'} {parcel.tracking_number}: {scans}"


def _when(moment: Instant | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
