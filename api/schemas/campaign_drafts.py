"""What creators say of a campaign: drafts, tiers and add-ons, and what may still change later."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.base import Body, Line, Moment, MoneyIn, Name, Prose
from api.schemas.contests import Files
from api.schemas.sales import Code, ReturnUrl
from domain.campaign import Funding, Kind, Question, ShortRule, Tranche, Trigger
from domain.campaign_offer import OfferedItem
from domain.errors import CurrencyMismatch, InvalidInput
from domain.model import BasisPoints
from domain.money import MAX_AMOUNT
from domain.pledge import ItemKind, Method


def _distinct(methods: tuple[Method, ...]) -> tuple[Method, ...]:
    return tuple(dict.fromkeys(methods))


Methods = Annotated[tuple[Method, ...], AfterValidator(_distinct)]
Zone = Annotated[Name, StringConstraints(max_length=40)]
Seats = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
ItemNumbers = Annotated[tuple[int, ...], Field(max_length=100)]


class ShippingIn(Body):
    """What sending one piece to a zone costs, minor units of the campaign's currency; 0 when it is free."""

    zone: Zone = Field(examples=["CN"])
    cost: int = Field(ge=0, le=MAX_AMOUNT, strict=True, examples=[1_200])


class ItemIn(Body):
    """A reward tier or an add-on."""

    title: Line = Field(examples=["One bamboo lamp"])
    description: Prose = ""
    price: MoneyIn
    seats: Seats | None = Field(default=None, description="How many there are; null: no limit.")
    each_most: int = Field(
        default=10, ge=1, le=100, strict=True, description="The most pieces in one pledge."
    )
    shipping: tuple[ShippingIn, ...] = Field(
        default=(), max_length=300, description="Empty when nothing is sent."
    )
    deliver_on: date | None = Field(
        default=None, description="When it is expected to be delivered; tiers need it."
    )
    for_tiers: ItemNumbers = Field(
        default=(), description="Of an add-on: numbers of the tiers it goes with; empty for all."
    )

    def offered(self, number: int, kind: ItemKind, currency: str, field: str) -> OfferedItem:
        """The item as the domain has it. Raises CurrencyMismatch, InvalidInput; `field` is where it stands."""
        if self.price.currency != currency:
            raise CurrencyMismatch(
                f"the campaign is in {currency}", field=f"{field}.price.currency", accepted=currency
            )
        if kind is ItemKind.TIER and self.for_tiers:
            raise InvalidInput(
                "only add-ons go with tiers", field=f"{field}.for_tiers", accepted="none"
            )
        zones: dict[str, int] = {}
        for index, each in enumerate(self.shipping):
            if each.zone in zones:
                raise InvalidInput(
                    f"the zone {each.zone} is named twice",
                    field=f"{field}.shipping[{index}].zone",
                    accepted="each zone once",
                )
            zones[each.zone] = each.cost
        return OfferedItem(
            number=number,
            kind=kind,
            title=self.title,
            description=self.description,
            price=self.price.amount,
            seats=self.seats,
            each_most=self.each_most,
            shipping=zones,
            deliver_on=self.deliver_on,
            for_tiers=self.for_tiers,
        )


class NewItem(ItemIn):
    """A tier or an add-on that is offered while the campaign is live."""

    kind: ItemKind = ItemKind.TIER


class ItemChange(Body):
    """What may change while backers choose; what is left out stays as it is."""

    title: Line | None = None
    description: Prose | None = None
    seats: Seats | None = Field(
        default=None, description="The new limit, never below what is sold; null lifts the limit."
    )
    on_sale: bool | None = Field(default=None, strict=True)


class TrancheIn(Body):
    """A part of the money, in hundredths of a percent, and when it is released."""

    trigger: Trigger
    basis_points: BasisPoints = Field(examples=[4_000])
    title: Line | None = None

    @property
    def tranche(self) -> Tranche:
        """The part as the domain has it."""
        title = self.title or self.trigger.replace("_", " ").capitalize()
        return Tranche(title=title, trigger=self.trigger, basis_points=self.basis_points)


class QuestionIn(Body):
    """What the creator has to know to make somebody's reward."""

    key: Code = Field(examples=["colour"])
    text: Line = Field(examples=["Which colour?"])
    choices: tuple[Line, ...] = Field(default=(), max_length=50)
    tiers: ItemNumbers = ()
    required: bool = Field(default=True, strict=True)

    @property
    def question(self) -> Question:
        """The question as the domain has it."""
        return Question(**self.model_dump())


class CampaignIn(Body):
    """What a creator wants to make and what backers get. The goal's currency is that of everything."""

    title: Line = Field(examples=["Bamboo lamps for a hundred homes"])
    story: Prose = Field(min_length=1, examples=["We split, steam and weave them by hand."])
    file_ids: Files = Field(default=(), description="Pictures; everybody sees them.")
    kind: Kind = Kind.REWARD
    funding: Funding = Funding.ALL_OR_NOTHING
    goal: MoneyIn = Field(description="With two rounds: the minimum.")
    optimum: MoneyIn | None = Field(
        default=None, description="Of two rounds: what the second one aims at."
    )
    live_seconds: int = Field(
        strict=True, description="How long pledges are taken.", examples=[2_592_000]
    )
    round2_seconds: int | None = Field(default=None, strict=True)
    starts_at: Moment | None = Field(
        default=None, description="When it goes live; as soon as it is approved without it."
    )
    methods: Methods = Field(default=tuple(Method), description="How backers may pay.")
    short_rule: ShortRule = Field(
        default=ShortRule.REQUIRE_SHARE,
        description="What happens when charges fail and less is collected than the goal.",
    )
    required_basis_points: int = Field(
        default=9_000,
        ge=1,
        le=10_000,
        strict=True,
        description="With `require_share`: how much of the goal must be collected.",
    )
    late_pledges: bool = Field(
        default=False, strict=True, description="Whether pledges are taken after the success."
    )
    tranches: tuple[TrancheIn, ...] | None = Field(
        default=None, max_length=4, description="In which parts the money is released."
    )
    tiers: tuple[ItemIn, ...] = Field(default=(), max_length=100)
    add_ons: tuple[ItemIn, ...] = Field(
        default=(), max_length=100, description="Numbered after the tiers, which begin with 1."
    )
    survey: tuple[QuestionIn, ...] = Field(default=(), max_length=20)

    def items(self) -> list[OfferedItem]:
        """Tiers and add-ons, numbered. Raises CurrencyMismatch, InvalidInput."""
        currency = self.goal.currency
        made: list[OfferedItem] = []
        for kind, field, given in (
            (ItemKind.TIER, "tiers", self.tiers),
            (ItemKind.ADD_ON, "add_ons", self.add_ons),
        ):
            for index, item in enumerate(given):
                number = len(made) + 1
                made.append(item.offered(number, kind, currency, f"{field}[{index}]"))
        return made


class SubmissionIn(Body):
    """The draft is handed in for review."""

    return_url: ReturnUrl | None = Field(
        default=None, description="Where the pages lead on which backers pay."
    )
