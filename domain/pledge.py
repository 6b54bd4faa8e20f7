"""The pledge 支持: what a backer chooses, what it costs, and what can become of it (paths 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum

from pydantic import Field

from domain.errors import BelowPrice, InvalidInput, OutOfStock, WrongPhase
from domain.model import Message
from domain.money import MAX_AMOUNT


class Method(StrEnum):
    """How a backer pays. It decides when: a card is saved and charged at success, everything else is paid at once."""

    CARD = "card"
    """Saved now, charged if the campaign succeeds."""
    WALLET = "wallet"
    """Paid now, sent back if the campaign fails."""
    BANK = "bank"
    """The same by bank transfer, which takes days."""


class PledgeState(StrEnum):
    """Where a pledge stands."""

    INITIATED = "initiated"
    """The backer is paying or saving the card; what is limited is reserved for them."""
    SAVED = "saved"
    FUNDED = "funded"
    """Paid; the money is in escrow until the campaign is decided."""
    CHARGING = "charging"
    """The campaign has succeeded and the card is being charged."""
    ERRORED = "errored"
    """The charge failed; the backer can mend it."""
    COLLECTED = "collected"
    """Paid, and the campaign has succeeded."""
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    """The backer has back what goes back: all of it, or their share of what was left."""
    RELEASED = "released"
    """The campaign has not succeeded; the card was never charged."""
    EXPIRED = "expired"
    """Not paid in time."""
    CANCELLED = "cancelled"
    """Taken back by the backer before any money moved."""
    DROPPED = "dropped"
    """The charge failed and was not mended in time."""
    CHARGED_BACK = "charged_back"
    """The backer's bank keeps the money."""


STANDING = frozenset(
    {
        PledgeState.SAVED,
        PledgeState.FUNDED,
        PledgeState.CHARGING,
        PledgeState.ERRORED,
        PledgeState.COLLECTED,
    }
)
"""States that count towards the goal."""
ENDED = frozenset(
    {
        PledgeState.REFUNDED,
        PledgeState.RELEASED,
        PledgeState.EXPIRED,
        PledgeState.CANCELLED,
        PledgeState.DROPPED,
        PledgeState.CHARGED_BACK,
    }
)
PAID = frozenset({PledgeState.FUNDED, PledgeState.COLLECTED})

_S = PledgeState
NEXT: Mapping[PledgeState, frozenset[PledgeState]] = {
    _S.INITIATED: frozenset(
        {_S.SAVED, _S.FUNDED, _S.COLLECTED, _S.EXPIRED, _S.CANCELLED, _S.REFUNDING}
    ),
    _S.SAVED: frozenset({_S.CHARGING, _S.CANCELLED, _S.RELEASED}),
    # Dropped at once when the provider takes neither the card nor another payment.
    _S.CHARGING: frozenset({_S.COLLECTED, _S.ERRORED, _S.DROPPED, _S.RELEASED, _S.REFUNDING}),
    _S.ERRORED: frozenset({_S.COLLECTED, _S.DROPPED, _S.RELEASED, _S.REFUNDING}),
    _S.FUNDED: frozenset({_S.COLLECTED, _S.REFUNDING, _S.CHARGED_BACK}),
    _S.COLLECTED: frozenset({_S.REFUNDING, _S.CHARGED_BACK}),
    _S.REFUNDING: frozenset({_S.REFUNDED, _S.CHARGED_BACK}),
    # Money that comes late finds its place again, or goes back.
    _S.EXPIRED: frozenset({_S.FUNDED, _S.COLLECTED, _S.REFUNDING}),
    _S.CANCELLED: frozenset({_S.REFUNDING}),
    _S.RELEASED: frozenset({_S.REFUNDING}),
    _S.DROPPED: frozenset({_S.COLLECTED, _S.REFUNDING}),
    _S.REFUNDED: frozenset({_S.REFUNDING}),
    # Another payment of it may still come.
    _S.CHARGED_BACK: frozenset({_S.REFUNDING}),
}
"""The whole state machine of a pledge."""


def require_next(state: str, wanted: PledgeState) -> None:
    """Raises WrongPhase for an arrow that is not there."""
    if wanted not in NEXT[PledgeState(state)]:
        raise WrongPhase(f"a pledge that is {state} cannot become {wanted}", field="state")


class RewardState(StrEnum):
    """Where a backer's reward stands."""

    NONE = "none"
    """Nothing is owed: a gift, or the pledge does not stand."""
    OWED = "owed"
    LOCKED = "locked"
    """Address and answers are fixed; it can be made and sent."""
    SHIPPED = "shipped"
    RECEIVED = "received"
    MISSING = "missing"
    """The backer says that it has not come."""


class CardState(StrEnum):
    """Where a saved card stands on our side."""

    REQUESTED = "requested"
    OPEN = "open"
    SAVED = "saved"
    RELEASED = "released"
    """Closed before it was saved, or forgotten at the provider."""


class ItemKind(StrEnum):
    """What a campaign offers."""

    TIER = "tier"
    ADD_ON = "add_on"


class Item(Message):
    """A reward tier or an add-on, as it is on sale; amounts in minor units of the campaign's currency."""

    number: int
    kind: ItemKind
    title: str
    price: int
    seats: int | None = None
    each_most: int = 10
    shipping: Mapping[str, int] = {}
    """Zone -> cost per piece; empty when nothing is shipped."""
    for_tiers: tuple[int, ...] = ()
    on_sale: bool = True
    deliver_on: date | None = None
    """Estimated delivery."""


class Chosen(Message):
    """So many pieces of an item."""

    number: int
    quantity: int = Field(default=1, ge=1, le=100)


class Selection(Message):
    """What a backer wants: a tier, add-ons, a zone to send it to, and perhaps something on top."""

    tier: Chosen | None = None
    add_ons: tuple[Chosen, ...] = ()
    zone: str | None = None
    extra: int = Field(default=0, ge=0, le=MAX_AMOUNT)
    """Given on top of the prices, minor units."""


class Priced(Message):
    """What a selection costs, in minor units, and which seats it takes."""

    goods: int
    shipping: int
    extra: int
    seats: Mapping[int, int]
    """Item number -> pieces, of limited items only."""

    @property
    def least(self) -> int:
        """What must be paid at least: everything but what is given on top."""
        return self.goods + self.shipping

    @property
    def total(self) -> int:
        """What the pledge amounts to."""
        return self.least + self.extra


class PendingChange(Message):
    """A change of a paid pledge that waits for the difference to be paid. Its seats are taken already."""

    payment_id: str
    selection: Selection
    amount: int
    shipping: int
    seats: Mapping[int, int] = {}
    """Seats taken beyond those of the present selection."""


class Address(Message):
    """Where a reward is sent. Personal data: seen by the backer, the creator and operators only."""

    name: str
    lines: tuple[str, ...]
    postal_code: str = ""
    country: str
    """ISO 3166-1 alpha-2."""
    phone: str = ""


class SurveyAnswers(Message):
    """Answers to the creator's questions, by question."""

    answers: Mapping[str, str]


def priced(items: Sequence[Item], chosen: Selection, *, least_gift: int = 1) -> Priced:
    """What the selection costs. Without a tier it is a gift of at least `least_gift` minor units.

    Raises InvalidInput for what is not offered together, OutOfStock for what is not on sale any more, BelowPrice.
    """
    by_number = {item.number: item for item in items}
    if chosen.tier is None and chosen.add_ons:
        raise InvalidInput("add-ons go with a tier", field="add_ons", accepted="a tier as well")
    if len({each.number for each in chosen.add_ons}) != len(chosen.add_ons):
        raise InvalidInput("an add-on is named twice", field="add_ons", accepted="each once")
    wanted = [] if chosen.tier is None else [(chosen.tier, ItemKind.TIER, "tier")]
    wanted += [(each, ItemKind.ADD_ON, "add_ons") for each in chosen.add_ons]
    goods, shipping, seats = 0, 0, {}
    for each, kind, field in wanted:
        item = by_number.get(each.number)
        _require_offered(item, each, kind, field, chosen.tier)
        assert item is not None
        goods += item.price * each.quantity
        shipping += _shipping(item, chosen.zone) * each.quantity
        if item.seats is not None:
            seats[item.number] = each.quantity
    found = Priced(goods=goods, shipping=shipping, extra=chosen.extra, seats=seats)
    if chosen.tier is None and found.total < least_gift:
        raise BelowPrice(
            f"a gift is at least {least_gift}", field="amount", accepted=f"at least {least_gift}"
        )
    if found.total > MAX_AMOUNT:
        raise InvalidInput("the total is too large", field="amount", accepted=str(MAX_AMOUNT))
    return found


def _require_offered(
    item: Item | None, wanted: Chosen, kind: ItemKind, field: str, tier: Chosen | None
) -> None:
    if item is None or item.kind is not kind:
        raise InvalidInput(
            f"there is no {kind} number {wanted.number}", field=f"{field}.number", accepted=None
        )
    if not item.on_sale:
        raise OutOfStock(f"{item.title} is not on sale any more", field=field)
    if wanted.quantity > item.each_most:
        raise InvalidInput(
            f"at most {item.each_most} pieces of {item.title} go into one pledge",
            field=f"{field}.quantity",
            accepted=f"1 to {item.each_most}",
        )
    if item.for_tiers and (tier is None or tier.number not in item.for_tiers):
        raise InvalidInput(
            f"{item.title} does not go with this tier",
            field=field,
            accepted=f"with tier {', '.join(map(str, item.for_tiers))}",
        )


def _shipping(item: Item, zone: str | None) -> int:
    """What sending one piece costs. Raises InvalidInput without a zone it is sent to."""
    if not item.shipping:
        return 0
    if zone is None or zone not in item.shipping:
        raise InvalidInput(
            f"{item.title} is not sent there" if zone else "say where it is to be sent",
            field="zone",
            accepted=", ".join(sorted(item.shipping)),
        )
    return item.shipping[zone]


def with_total(found: Priced, total: int | None, field: str = "amount") -> int:
    """What is given on top so that the pledge amounts to `total` minor units. Raises BelowPrice."""
    if total is None:
        return found.extra
    if total < found.least:
        raise BelowPrice(
            f"what was chosen costs {found.least}",
            field=field,
            accepted=f"at least {found.least}",
        )
    return total - found.least
