"""What a campaign offers to its backers: tiers, add-ons and questions, and which of them go together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from domain.campaign import CampaignTerms, Funding, Kind, Question, Tranche, Trigger
from domain.errors import BelowSold, InvalidInput
from domain.pledge import Item, ItemKind

_IN_STAGES = (
    ("Start", Trigger.START, 4_000),
    ("First article", Trigger.FIRST_ARTICLE, 3_000),
    ("Lots", Trigger.LOTS, 2_500),
    ("Reserve", Trigger.RESERVE, 500),
)
_AT_ONCE = (("Start", Trigger.START, 10_000),)


class OfferedItem(Item):
    """A tier or an add-on as its creator describes it."""

    description: str = ""


def default_tranches(kind: Kind) -> tuple[Tranche, ...]:
    """In which parts the money is released, unless the creator says otherwise (Indiegogo keeps a reserve of 5 %)."""
    parts = _AT_ONCE if kind is Kind.DONATION else _IN_STAGES
    return tuple(
        Tranche(title=title, trigger=trigger, basis_points=share) for title, trigger, share in parts
    )


def require_offer(terms: CampaignTerms, items: Sequence[OfferedItem], today: date) -> None:
    """Raises InvalidInput for an offer that backers could not choose from."""
    if terms.funding is not Funding.TWO_ROUNDS:
        for field in ("optimum", "round2_seconds"):
            if getattr(terms, field) is not None:
                raise InvalidInput(
                    "only a campaign of two rounds has this",
                    field=field,
                    accepted=f"nothing, or funding {Funding.TWO_ROUNDS}",
                )
    tiers = [each for each in items if each.kind is ItemKind.TIER]
    add_ons = [each for each in items if each.kind is ItemKind.ADD_ON]
    if terms.kind is Kind.DONATION:
        for field, given in (("tiers", tiers), ("add_ons", add_ons), ("survey", terms.survey)):
            if given:
                raise InvalidInput("a donation has no rewards", field=field, accepted="none")
    elif not tiers:
        raise InvalidInput("backers get nothing", field="tiers", accepted="at least one tier")
    for index, tier in enumerate(tiers):
        require_item(tier, tiers, f"tiers[{index}]", today)
    for index, add_on in enumerate(add_ons):
        require_item(add_on, tiers, f"add_ons[{index}]", today)
    _require_survey(terms.survey, tiers)


def require_item(item: OfferedItem, tiers: Sequence[Item], field: str, today: date) -> None:
    """Raises InvalidInput for a tier or an add-on that cannot be offered. `field` is where it stands in the request."""
    if item.deliver_on is None and item.kind is ItemKind.TIER:
        raise InvalidInput(
            "say when the reward is expected",
            field=f"{field}.deliver_on",
            accepted="a day to come",
        )
    if item.deliver_on is not None and item.deliver_on <= today:
        raise InvalidInput(
            "the expected delivery is over already",
            field=f"{field}.deliver_on",
            accepted=f"after {today.isoformat()}",
        )
    _require_tiers(item.for_tiers, tiers, f"{field}.for_tiers")


def _require_tiers(wanted: Sequence[int], tiers: Sequence[Item], field: str) -> None:
    known = {each.number for each in tiers}
    if not known.issuperset(wanted):
        raise InvalidInput(
            "there is no such tier",
            field=field,
            accepted=", ".join(map(str, sorted(known))) or "none",
        )


def _require_survey(survey: Sequence[Question], tiers: Sequence[Item]) -> None:
    keys: set[str] = set()
    for index, question in enumerate(survey):
        field = f"survey[{index}]"
        if question.key in keys:
            raise InvalidInput(
                "two questions have the same key", field=f"{field}.key", accepted="each key once"
            )
        keys.add(question.key)
        _require_tiers(question.tiers, tiers, f"{field}.tiers")


def require_start(terms: CampaignTerms, now: datetime) -> None:
    """Raises InvalidInput for a launch that is over or too far ahead."""
    latest = now + timedelta(seconds=terms.policy.schedule_longest_seconds)
    if terms.starts_at is not None and not now < terms.starts_at <= latest:
        raise InvalidInput(
            "the launch is over already or too far ahead",
            field="starts_at",
            accepted=f"up to {latest.isoformat(timespec='seconds')}",
        )


def require_seats(seats: int | None, taken: int, wanted: int | None) -> None:
    """Raises BelowSold, or InvalidInput for a limit that backers have not been told of.

    `seats` is the present limit, `wanted` the new one; None is without a limit.
    """
    if seats is None and wanted is not None:
        raise InvalidInput(
            "what was offered without a limit keeps none",
            field="seats",
            accepted="null, or on_sale false",
        )
    if wanted is not None and wanted < taken:
        raise BelowSold(
            f"{taken} are sold or reserved already", field="seats", accepted=f"at least {taken}"
        )
