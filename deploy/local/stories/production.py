"""A production order: one maker does everything right, one has to mend, one vanishes; each gets what they have earned."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable

from deploy.local.errors import LocalError
from deploy.local.stories.stage import (
    Amount,
    Anything,
    Id,
    Person,
    Shown,
    ShownLot,
    ShownOrder,
    ShownReceipts,
    Stage,
)
from domain.money import format_money

_GOOD, _MENDED, _VANISHED = 20, 12, 8
"""Units of the three makers' lots; of up to 15 every one is inspected."""
_SECONDS = {"make_seconds": 5, "claims_seconds": 120}
ORDER = {
    "title": "竹编提篮 Bamboo baskets",
    "process": "Split, weave, bind the rim.",
    "standard": {
        "text": "No splinters, the handle holds 2 kg",
        "tolerances": [{"name": "height", "value": "120 mm ± 2 mm"}],
        "defects": [
            {"code": "splinter", "text": "A splinter stands out", "severity": "critical"},
            {"code": "handle", "text": "The handle is loose", "severity": "major"},
            {"code": "stain", "text": "A stain below 5 mm", "severity": "minor"},
        ],
    },
    "materials": [
        {"title": "竹篾 Bamboo strips", "pieces": 12, "cost": 50},
        {"title": "藤条 Rattan for the handle", "pieces": 1, "cost": 400},
    ],
    "units": _GOOD + _MENDED + _VANISHED,
    "lot_most": _GOOD,
    "rate": {"amount": 3_000},
    "deposit": 1_000,
    "freight": 100,
    "certifier_fee": 50,
    **_SECONDS,
}
"""Weeks are seconds. The time for making counts from the kit's arrival, so it hurts nobody who sends in time."""
_IN_HAND = {"on_the_way", "maker", "goods"}
"""Where nothing may be left of a lot's materials when it has ended."""


class ShownUnits(Shown):
    """Where the units of an order are."""

    open: int
    accepted: int
    rejected: int


class ShownProgress(Shown):
    """How far an order is."""

    progress: ShownUnits


class ShownClass(Shown):
    """The plan of one class of defects."""

    defect_class: str
    percent: str | None
    accept: int
    reject: int


class ShownPlan(Shown):
    """How units are inspected."""

    edition: str | None
    lot_size: int
    level: str | None
    severity: str
    size: int
    classes: list[ShownClass]


class ShownInspection(Shown):
    """An inspection in an answer."""

    id: str
    units: int
    plan: ShownPlan
    seed: str
    drawn: list[int]


class ShownPosting(Shown):
    """A line of a path's statement."""

    entry_id: int
    status: str
    account: str
    side: str
    amount: Amount


class ShownHeld(Shown):
    """Pieces of one material in one place."""

    material: int
    place: str
    pieces: int


class ShownMaterials(Shown):
    """Where the materials of a lot are."""

    held: list[ShownHeld]


def three_makers(stage: Stage) -> None:
    """Forty baskets: wages first, then lots, kits, an independent inspector, rework, an appeal, and a maker who vanishes."""
    requester, inspector = stage.person("hua"), stage.person("wu")
    good, mended, vanished = (stage.person(name) for name in ("mei", "aoi", "shan"))
    order = _published(stage, requester, inspector)
    stage.say(
        f"hua pays {order.to_fund.text} in: wages, freight and the inspector's fee. "
        "Before that no maker can be asked for a deposit"
    )
    lost, perfect, partly = _claimed(
        stage, order, (vanished, _VANISHED), (good, _GOOD), (mended, _MENDED)
    )
    late = stage.person("lin").refused(f"/v1/production-orders/{order.id}/lots", {"units": 1})
    stage.say(f"shan, mei and aoi claim all units and pay a deposit; lin is too late: {late}")

    _kit(stage, requester, vanished, lost, by_carrier=False)
    timers = vanished.get(f"/v1/lots/{lost.id}/deadlines", ShownReceipts).deadlines
    outcome = next(each.outcome for each in timers if each.name == "abandonment")
    stage.say(f"shan has the kit and is not heard of again. What then? {outcome}")

    _all_good(stage, requester, inspector, good, perfect)
    _partly_good(stage, requester, inspector, mended, partly)

    _ended(stage, vanished, lost, "abandoned")
    left = requester.get(f"/v1/production-orders/{order.id}", ShownProgress).progress
    stage.say(f"shan's deposit pays for the materials, and {left.open} units are open again")
    (again,) = _claimed(stage, order, (good, left.open))
    _kit(stage, requester, good, again, by_carrier=False)
    _sent(stage, inspector, good, again, by_carrier=False)
    _inspected(good, inspector, again, {}, accepted=again.units)
    _ended(stage, good, again, "settled")
    stage.say("mei claims them and makes them; they are accepted")

    done = stage.until(
        lambda: requester.get(f"/v1/production-orders/{order.id}", ShownOrder),
        lambda seen: seen.closed_at is not None,
        f"{order.id} ends",
    )
    units = requester.get(f"/v1/production-orders/{order.id}", ShownProgress).progress
    stage.say(
        f"the order is {done.phase} by itself: {units.accepted} accepted, {units.rejected} rejected"
    )
    stage.ended += [
        ("The baskets", order.id),
        ("mei's lot", perfect.id),
        ("aoi's lot", partly.id),
        ("shan's lot", lost.id),
        ("mei's second lot", again.id),
    ]
    ended = [each.id for each in (perfect, partly, lost, again)]
    _tell_money(stage, requester, [inspector, good, mended, vanished], [order.id, *ended])
    _tell_materials(stage, ended)


def _all_good(
    stage: Stage, requester: Person, inspector: Person, maker: Person, lot: ShownLot
) -> None:
    """Kit and goods travel with a carrier, a sample is looked at, and the lot is accepted."""
    _kit(stage, requester, maker, lot, by_carrier=True)
    _sent(stage, inspector, maker, lot, by_carrier=True)
    plan, drawn = _sample(maker, lot)
    stage.say(f"mei's parcel arrives, and before anybody looks the plan is fixed: {plan}")
    stage.say(f"a recorded seed draws units {drawn}; recomputed here from the seed: the same")
    _inspected(maker, inspector, lot, {}, accepted=lot.units)
    _ended(stage, maker, lot, "settled")
    stage.say("the sample passes: all units are accepted, mei has wages, freight and the deposit")


def _partly_good(
    stage: Stage, requester: Person, inspector: Person, maker: Person, lot: ShownLot
) -> None:
    """Some units are mended, some rejected; a second inspector finds one of these as agreed."""
    _kit(stage, requester, maker, lot, by_carrier=False)
    _sent(stage, inspector, maker, lot, by_carrier=False)
    found = {2: "handle", 5: "handle", 7: "stain", 11: "splinter"}
    _inspected(maker, inspector, lot, found, accepted=_MENDED - 4, rework=3, rejected=1)
    _until(stage, maker, lot, "rework")
    stage.say(
        "of aoi's units 8 are accepted and paid at once, 3 go back to be mended, 1 is rejected"
    )
    _sent(stage, inspector, maker, lot, by_carrier=False, made=3)
    _inspected(maker, inspector, lot, {3: "stain"}, accepted=2, rejected=1)
    _until(stage, maker, lot, "decided")
    second, operator = stage.person("lin"), stage.person("admin")
    path = f"/v1/lots/{lot.id}"
    maker.post(f"{path}/appeal", Anything, {"note": "That is the grain of the bamboo."})
    named = {"inspector_id": _id(second), "note": "Has no part in it."}
    look = operator.post(f"{path}/name-inspector", ShownInspection, named)
    _decided(second, look, {1: "splinter"}, accepted=1, rejected=1)
    _ended(stage, maker, lot, "settled")
    stage.say("2 of the 3 pass; aoi appeals for the 2 rejected ones: a second inspector grants 1")


def _published(stage: Stage, requester: Person, inspector: Person) -> ShownOrder:
    """An order whose wages are paid in."""
    windows = {name: seconds * stage.pace for name, seconds in _SECONDS.items()}
    body = {**ORDER, **windows, "certifier_id": _id(inspector)}
    draft = requester.post("/v1/production-orders", ShownOrder, body)
    funding = requester.post(f"/v1/production-orders/{draft.id}/fund", ShownOrder)
    stage.pay(funding)
    return stage.until(
        lambda: requester.get(f"/v1/production-orders/{draft.id}", ShownOrder),
        lambda seen: seen.phase == "published",
        f"{draft.id} is published",
    )


def _claimed(stage: Stage, order: ShownOrder, *wishes: tuple[Person, int]) -> list[ShownLot]:
    """Lots of so many units whose makers have paid the deposit."""
    path = f"/v1/production-orders/{order.id}/lots"
    claimed = [(maker, maker.post(path, ShownLot, {"units": units})) for maker, units in wishes]
    for maker, lot in claimed:
        stage.pay(_page(stage, maker, lot))
    return [_until(stage, maker, lot, "kit_paid") for maker, lot in claimed]


def _page(stage: Stage, maker: Person, lot: ShownLot) -> ShownLot:
    """The lot with the page on which its deposit is paid."""
    return stage.until(
        lambda: maker.get(f"/v1/lots/{lot.id}", ShownLot),
        lambda seen: seen.payment is not None and seen.payment.checkout_url is not None,
        f"{lot.id} has a page to pay the deposit",
    )


def _kit(
    stage: Stage, requester: Person, maker: Person, lot: ShownLot, *, by_carrier: bool
) -> None:
    """The requester sends the materials, and they arrive."""
    parcel = _parcel(by_carrier)
    requester.post(f"/v1/lots/{lot.id}/send-kit", Anything, parcel)
    if not by_carrier:
        maker.post(f"/v1/lots/{lot.id}/receive-kit", Anything)
        return
    stage.scan(parcel["tracking_number"], "delivered")
    _until(stage, maker, lot, "making")


def _sent(
    stage: Stage,
    inspector: Person,
    maker: Person,
    lot: ShownLot,
    *,
    by_carrier: bool,
    made: int | None = None,
) -> None:
    """The maker sends the goods, and they arrive."""
    parcel = _parcel(by_carrier)
    sent = {**parcel, "made": lot.units if made is None else made}
    maker.post(f"/v1/lots/{lot.id}/send-goods", Anything, sent)
    if by_carrier:
        stage.scan(parcel["tracking_number"], "delivered")
    else:
        inspector.post(f"/v1/lots/{lot.id}/receive-goods", Anything)
    _until(stage, maker, lot, "inspecting")


def _parcel(by_carrier: bool) -> dict[str, str]:
    """How something travels; without a number it is handed over in person."""
    if not by_carrier:
        return {}
    return {"carrier": "sandbox", "tracking_number": f"SF{uuid.uuid4().int % 10**12:012d}"}


def _inspection(maker: Person, lot: ShownLot) -> ShownInspection:
    """The newest inspection of the lot."""
    newest = maker.get_list(f"/v1/lots/{lot.id}/inspections", Id)[-1]
    return maker.get(f"/v1/inspections/{newest.id}", ShownInspection)


def _sample(maker: Person, lot: ShownLot) -> tuple[str, str]:
    """The plan of the lot's inspection in words, and the units that were drawn; LocalError if the seed draws others."""
    inspection = _inspection(maker, lot)
    plan, seed = inspection.plan, inspection.seed
    order = sorted(
        range(1, plan.lot_size + 1),
        key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest(),
    )
    if inspection.drawn != order[: plan.size]:
        raise LocalError(f"{inspection.id} looks at units that its seed does not draw")
    classes = ", ".join(
        f"{each.defect_class} {each.percent or 'none allowed'} Ac {each.accept} Re {each.reject}"
        for each in plan.classes
    )
    words = f"{plan.edition}, level {plan.level}, {plan.severity}, {plan.size} of {plan.lot_size}"
    return f"{words} units; {classes}", ", ".join(map(str, inspection.drawn))


def _inspected(
    maker: Person, inspector: Person, lot: ShownLot, defects: dict[int, str], **decision: int
) -> None:
    """The inspector looks at the goods of the lot and decides."""
    _decided(inspector, _inspection(maker, lot), defects, **decision)


def _decided(
    inspector: Person, inspection: ShownInspection, defects: dict[int, str], **decision: int
) -> None:
    """Findings in two parts, each drawn unit once; then the decision."""
    units = inspection.drawn or list(range(1, inspection.units + 1))
    seen = [{"unit": unit, "defects": [defects[unit]] if unit in defects else []} for unit in units]
    half = len(seen) // 2
    path = f"/v1/inspections/{inspection.id}"
    for part in filter(None, (seen[:half], seen[half:])):
        inspector.post(f"{path}/findings", Anything, {"findings": part})
    inspector.post(f"{path}/decide", Anything, decision)


def _tell_money(stage: Stage, requester: Person, others: list[Person], path_ids: list[str]) -> None:
    """Who got what, by the journal of the order and its lots."""
    names = {_id(person): person.name for person in (requester, *others)}
    operator = stage.person("admin")
    gained: dict[str, Counter[str]] = {}
    for path_id in path_ids:
        lines = operator.get_list(f"/v1/paths/{path_id}/statement", ShownPosting, limit=100)
        sources = {line.entry_id: line.account for line in lines if line.side == "debit"}
        for line in reversed(lines):
            way = _way(sources.get(line.entry_id, ""), line.account)
            if way and line.side == "credit" and line.status == "posted":
                payee = names.get(line.account.partition(":")[2], "the platform")
                whose = requester.name if way is _BACK else payee
                gained.setdefault(whose, Counter())[way] += line.amount.amount
    for whose, ways in gained.items():
        parts = [f"{format_money(amount, 'CNY')} {way}" for way, amount in ways.items()]
        stage.say(f"{whose} gets {', '.join(parts)}")


_BACK = "back that nobody has earned"


def _way(source: str, target: str) -> str | None:
    """What moves from one account to another, in words; None for what is not told."""
    payee = target.partition(":")[2]
    match source.partition(":")[0], target.partition(":")[0]:
        case "escrow", "payable":
            return "of what was paid in"
        case "escrow", "refund_due":
            return _BACK
        case "escrow", "fee":
            return "commission on wages"
        case "fee", "protection_fund":
            return "of it for the protection fund"
        case "deposit", "payable":
            mine = source.endswith(f":{payee}")
            return "of the deposit back" if mine else "of makers' deposits, for materials"
        case _:
            return None


def _tell_materials(stage: Stage, lot_ids: Iterable[str]) -> None:
    """Where every piece is; LocalError when one is nowhere, or still in somebody's hands."""
    operator = stage.person("admin")
    places: Counter[str] = Counter()
    for lot_id in lot_ids:
        materials: Counter[int] = Counter()
        for held in operator.get(f"/v1/lots/{lot_id}/materials", ShownMaterials).held:
            materials[held.material] += held.pieces
            places[held.place] += held.pieces
            if held.place in _IN_HAND:
                raise LocalError(f"{held.pieces} pieces of {lot_id} are still {held.place}")
        if not materials or any(materials.values()):
            raise LocalError(f"the material ledger of {lot_id} does not add up to 0: {materials}")
    words = ", ".join(f"{place} {pieces:+d}" for place, pieces in places.items())
    stage.say(f"materials: {words}; together {sum(places.values())}, nothing left with makers")


def _id(person: Person) -> str:
    return person.get("/v1/me", Id).id


def _until(stage: Stage, maker: Person, lot: ShownLot, phase: str) -> ShownLot:
    return stage.until(
        lambda: maker.get(f"/v1/lots/{lot.id}", ShownLot),
        lambda seen: seen.phase == phase,
        f"{lot.id} becomes {phase}",
    )


def _ended(stage: Stage, maker: Person, lot: ShownLot, phase: str) -> None:
    """The lot has ended in this phase, with all its money on its way out."""
    seen = stage.until(
        lambda: maker.get(f"/v1/lots/{lot.id}", ShownLot),
        lambda seen: seen.closed_at is not None,
        f"{lot.id} ends",
    )
    if seen.phase != phase:
        raise LocalError(f"{lot.id} is {seen.phase} instead of {phase}")


STORIES = (("Production: three makers", three_makers),)
