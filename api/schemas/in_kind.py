"""Offers in kind and asks, as the API takes and shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Body, Line, Moment, MoneyIn, MoneyView, Prose, Utc, View
from api.schemas.contests import PathPaymentView
from api.schemas.sales import Note, ReturnUrl
from api.schemas.tenders import Files, Reason
from db.admission import due_of
from db.in_kind_rows import course_of, terms_of
from db.queries.in_kind import InKindRows
from db.tables import InKindAsk, InKindOffer, InKindRecord, Path
from domain.ids import AskId, PathId
from domain.in_kind import Help, InKindTerms, Phase
from domain.in_kind_deadlines import OFFER


class InKindIn(Body):
    """What a supporter offers: a material, hours of work, or a loan that comes back."""

    help: Help
    title: Line = Field(examples=["A loom for a season"])
    description: Prose = Field(min_length=1, examples=["Eight shafts, 120 cm wide. To be fetched."])
    file_ids: Files = Field(default=(), description="Pictures; everybody sees them.")
    quantity: Line | None = Field(
        default=None, description="Of a material.", examples=["20 kg of clay"]
    )
    hours: int | None = Field(
        default=None, ge=1, le=10_000, strict=True, description="Of a task.", examples=[12]
    )
    due_at: Moment | None = Field(default=None, description="When a loan is to be back.")
    deposit: MoneyIn | None = Field(
        default=None, description="Of a loan: stays the borrower's, and goes back with the return."
    )


class PublicationIn(Body):
    """Where the borrower's payment pages lead afterwards."""

    return_url: ReturnUrl | None = None


class AskIn(Body):
    """Why somebody needs it."""

    message: Prose = Field(default="", examples=["For the first ten blankets of our campaign."])
    for_path_id: PathId | None = Field(
        default=None, description="The own campaign, contest or other path that it is for."
    )
    file_ids: Files = Field(default=(), description="Private ones are shown to the supporter.")


class PickIn(Body):
    """Who gets it."""

    ask_id: AskId


class ShownIn(Note):
    """A word, and files that show it."""

    file_ids: Files = Field(default=(), description="Private ones are shown to the other side.")


class ObjectionIn(Body):
    """Why it has not been received."""

    note: Reason = Field(examples=["Nothing has come"])
    file_ids: Files = ()


class CallingOffIn(Note):
    """Stepping back before the handing over."""

    offer_again: bool = Field(
        default=True, description="For supporters: whether others can still ask for it."
    )


class ExtensionIn(Body):
    """A later day of return."""

    due_at: Moment


class ClaimIn(Body):
    """How much of the deposit the lender wants, and why."""

    amount: MoneyIn
    is_back: bool = Field(
        default=True, description="Whether the loan is back; only an overdue one may not be."
    )
    note: Reason = Field(examples=["A shaft is broken"])
    file_ids: Files = ()


class ClaimAnswerIn(ShownIn):
    """Whether the borrower agrees with the claim; if not, operators rule."""

    agree: bool


class InKindRulingIn(Body):
    """Of an objection: whether the help has come. Of a contested claim: what the lender gets, in minor units."""

    received: bool | None = None
    lender_amount: int | None = Field(default=None, ge=0, le=10_000_000_000_000, strict=True)
    note: Reason = Field(examples=["The pictures show it"])


class AskView(View):
    """Somebody who asks for it."""

    id: str = Field(examples=["ask_01h45ytscbebyvny4gc8cr8ma2"])
    in_kind_id: str
    asker_id: str
    status: str = Field(
        examples=["live"], description="live, withdrawn, picked, or passed once it is over."
    )
    message: str
    for_path_id: str | None
    file_ids: list[str]
    created_at: Utc
    updated_at: Utc

    @classmethod
    def of(cls, row: InKindAsk) -> Self:
        """The view of an ask's row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class RecordView(View):
    """What somebody said and showed."""

    number: int
    kind: str = Field(examples=["handed_over"])
    made_by: str = Field(description="initiator, asker or operator.")
    note: str
    amount: MoneyView | None = Field(description="Of a claim or a ruling.")
    file_ids: list[str]
    at: Utc

    @classmethod
    def of(cls, row: InKindRecord, currency: str) -> Self:
        """The view of a record's row."""
        return cls(
            number=row.number,
            kind=row.kind,
            made_by=row.made_by,
            note=row.note,
            amount=None if row.amount is None else MoneyView.of(row.amount, currency),
            file_ids=row.file_ids,
            at=row.at,
        )


class InKindCard(View):
    """An offer in a list."""

    id: str = Field(examples=["ink_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    supporter_id: str
    help: Help
    title: str
    quantity: str | None
    hours: int | None
    due_at: Utc | None = Field(description="When the loan is to be back, as it stands now.")
    deposit: MoneyView | None
    offer_ends_at: Utc | None = Field(description="Until when people can ask for it.")
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, row: InKindOffer, path: Path) -> Self:
        """The view of an offer's row."""
        return cls(**_card(terms_of(row), row, path))


def _card(terms: InKindTerms, row: InKindOffer, path: Path) -> dict[str, object]:
    """What lists and pages show of an offer."""
    course = course_of(row)
    return {
        "id": path.id,
        "phase": Phase(path.phase),
        "supporter_id": terms.supporter_id,
        "help": terms.help,
        "title": terms.title,
        "quantity": terms.quantity or None,
        "hours": terms.hours,
        "due_at": course.due_at if course else terms.due_at,
        "deposit": MoneyView.of(terms.deposit, path.currency) if terms.deposit else None,
        # A pause puts the timer off.
        "offer_ends_at": due_of(path, OFFER) or (course.offer_ends_at if course else None),
        "opened_at": path.opened_at,
        "closed_at": path.closed_at,
    }


class AgreementView(View):
    """What is between the supporter and who was picked; for them and operators."""

    asker_id: str | None
    ask: AskView | None
    payment: PathPaymentView | None = Field(description="The deposit's payment, for its payer.")
    held: MoneyView | None = Field(description="What the platform holds of the deposit.")
    claimed: MoneyView | None = Field(description="What the lender wants of it.")
    is_back: bool | None = Field(description="Whether the loan is back, as the claim says.")
    released: MoneyView | None = Field(description="What the lender got of it.")
    records: list[RecordView]
    end_reason: str | None

    @classmethod
    def of(cls, rows: InKindRows, *, as_asker: bool, user_id: str) -> Self:
        """The agreement as its supporter and operators see it, or as who was picked does."""
        offer, currency = rows.offer, rows.path.currency

        def money(amount: int | None) -> MoneyView | None:
            return None if amount is None else MoneyView.of(amount, currency)

        deposit = bool(terms_of(offer).deposit)
        paying = rows.deposit and offer.asker_id == rows.deposit.payer_id == user_id
        return cls(
            asker_id=offer.asker_id,
            ask=AskView.of(rows.picked) if rows.picked else None,
            payment=PathPaymentView.of(rows.deposit) if rows.deposit and paying else None,
            held=money(offer.held) if deposit else None,
            claimed=money(offer.claimed),
            is_back=offer.is_back,
            released=money(offer.released) if deposit else None,
            records=[
                RecordView.of(each, currency)
                for each in rows.records
                if not as_asker or each.pick == offer.picks
            ],
            end_reason=offer.end_reason,
        )


class InKindView(InKindCard):
    """An offer. Who asks and what was agreed is for its people and operators only."""

    description: str
    file_ids: list[str]
    asks: int | None = Field(description="How many stand; for the supporter and operators.")
    agreement: AgreementView | None

    @classmethod
    def seen(cls, rows: InKindRows, *, asks: int | None, agreement: AgreementView | None) -> Self:
        """The view of an offer, with what the reader may know besides."""
        terms = terms_of(rows.offer)
        return cls(
            **_card(terms, rows.offer, rows.path),
            description=terms.description,
            file_ids=list(terms.file_ids),
            asks=asks,
            agreement=agreement,
        )
