"""Campaigns and a match call: one that succeeds with a sponsor's help, and one that fails and gives everything back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from deploy.local.errors import LocalError
from deploy.local.stories.stage import (
    Amount,
    Anything,
    Checkout,
    Person,
    Shown,
    Stage,
)

_LIVE_SECONDS = 10
"""Weeks, shortened for a demonstration."""
_LAMP = 20_000
_ADDRESS = {"name": "Lin", "lines": ["1 Bamboo Lane"], "postal_code": "313300", "country": "CN"}


class ShownToDo(Shown):
    """What a backer does next."""

    action: str
    checkout_url: str | None


class ShownPledge(Shown):
    """A pledge in an answer."""

    id: str
    state: str
    amount: Amount
    to_do: ShownToDo | None


class ShownTotals(Shown):
    """What stands of a campaign."""

    pledged: Amount
    matched: Amount
    in_escrow: Amount
    released: Amount


class ShownCampaign(Shown):
    """A campaign in an answer."""

    id: str
    phase: str
    totals: ShownTotals


class ShownCall(Shown):
    """A match call in an answer."""

    id: str
    phase: str
    payments: list[Checkout]


class ShownBudget(Shown):
    """Where the budget is."""

    used: Amount
    returned: Amount


class ShownReport(Shown):
    """The sponsor's report, of which the story tells the sum used."""

    budget: ShownBudget


def funded_with_a_match(stage: Stage) -> None:
    """Lamps for a village school: two backers and a sponsor reach the goal; the money leaves in parts as the lamps are made."""
    creator, operator, sponsor = stage.person("mei"), stage.person("admin"), stage.person("city")
    call = _call(stage, sponsor)
    stage.say("the city puts CNY 500.00 into a match call: for each yuan another one")
    campaign = _live(stage, creator, operator, "学校竹灯 Lamps for a village school", 60_000)
    applied = {"campaign_id": campaign.id}
    creator.post(f"/v1/match-calls/{call.id}/projects", Anything, applied)
    stage.say("mei's campaign is reviewed, goes live, and is accepted by the call")
    lin, wu = stage.person("lin"), stage.person("wu")
    card = _pledge(stage, campaign, lin, "card", declined_later=True)
    wallet = _pledge(stage, campaign, wu, "wallet")
    totals = stage.until(
        lambda: creator.get(f"/v1/campaigns/{campaign.id}", ShownCampaign),
        lambda seen: seen.totals.pledged.amount == 2 * _LAMP,
        "both pledges stand",
    ).totals
    stage.say(
        f"lin saves a card and wu pays at once: {totals.pledged.text} pledged, "
        f"{totals.matched.text} matched, {totals.in_escrow.text} in escrow"
    )
    _mend(stage, lin, card)
    stage.say("the time is up: lin's card is declined, and lin pays with another one")
    _until(stage, creator, campaign, "fulfilling")
    report = sponsor.get(f"/v1/match-calls/{call.id}/report", ShownReport)
    stage.say(f"the goal is reached; the call adds {report.budget.used.text}, mei gets the start")
    _made_and_sent(stage, creator, operator, campaign, {card.id: lin, wallet.id: wu})
    _until(stage, creator, campaign, "completed")
    sponsor.post(f"/v1/match-calls/{call.id}/close", Anything)
    ended = stage.until(
        lambda: sponsor.get(f"/v1/match-calls/{call.id}", ShownCall),
        lambda seen: seen.phase == "ended",
        f"{call.id} ends",
    )
    stage.ended += [("Lamps for a village school", campaign.id), ("The city's call", ended.id)]
    stage.say("the lamps are received, the reserve is released, and the city has the rest back")


def not_funded(stage: Stage) -> None:
    """A kiln too big: not enough comes together, so the wallet is refunded and the card never charged."""
    creator, operator = stage.person("shan"), stage.person("admin")
    campaign = _live(stage, creator, operator, "龙窑 A dragon kiln", 10_000_000)
    pledges = [
        (_pledge(stage, campaign, stage.person(name), method), stage.person(name))
        for name, method in (("aoi", "card"), ("hua", "wallet"))
    ]
    stage.say("aoi saves a card, hua pays from a wallet; the goal stays far away")
    _until(stage, creator, campaign, "failed")
    for pledge, backer in pledges:
        ends = _ended(stage, backer, pledge)
        stage.say(f"the campaign fails: {backer.name}'s pledge is {ends.state}")
    stage.ended.append(("The dragon kiln", campaign.id))


def _call(stage: Stage, sponsor: Person) -> ShownCall:
    body = {
        "title": "城市众扶 The city adds as much again",
        "story": "For each yuan you give to makers of our province we give another.",
        "sponsor_kind": "government",
        "sponsor_name": "The city",
        "budget": {"amount": 50_000},
        "offer": {"per_pledge_cap": 10_000},
        "accept_all": True,
        "open_seconds": 120 * stage.pace,
    }
    draft = sponsor.post("/v1/match-calls", ShownCall, body)
    funding = sponsor.post(f"/v1/match-calls/{draft.id}/fund", ShownCall)
    pages = [each.checkout_url for each in funding.payments if each.checkout_url]
    if not pages:
        raise LocalError(f"{draft.id} has no page to pay")
    stage.press(pages[0], "pay")
    return stage.until(
        lambda: sponsor.get(f"/v1/match-calls/{draft.id}", ShownCall),
        lambda seen: seen.phase == "open",
        f"{draft.id} opens",
    )


def _live(stage: Stage, creator: Person, operator: Person, title: str, goal: int) -> ShownCampaign:
    """A campaign that takes pledges for some seconds."""
    body = {
        "title": title,
        "story": "Split, steamed and woven by hand.",
        "goal": {"amount": goal},
        "live_seconds": _LIVE_SECONDS * stage.pace,
        "tiers": [
            {
                "title": "一盏灯 One lamp",
                "price": {"amount": _LAMP},
                "seats": 5,
                "deliver_on": (datetime.now(UTC).date() + timedelta(days=90)).isoformat(),
            }
        ],
    }
    draft = creator.post("/v1/campaigns", ShownCampaign, body)
    creator.post(f"/v1/campaigns/{draft.id}/submit", Anything)
    operator.post(f"/v1/campaigns/{draft.id}/approve", Anything)
    return _until(stage, creator, draft, "live")


def _pledge(
    stage: Stage,
    campaign: ShownCampaign,
    backer: Person,
    method: str,
    *,
    declined_later: bool = False,
) -> ShownPledge:
    """A pledge for one lamp, whose backer does what the provider's page asks for."""
    body = {"tier": {"number": 1}, "method": method}
    pledge = backer.post(f"/v1/campaigns/{campaign.id}/pledges", ShownPledge, body)
    if pledge.to_do is None or pledge.to_do.checkout_url is None:
        raise LocalError(f"{pledge.id} has no page")
    if declined_later:
        _decline_first_charge(stage, pledge.to_do.checkout_url)
    action = "save" if pledge.to_do.action == "save_card" else "pay"
    stage.press(pledge.to_do.checkout_url, action)
    return stage.until(
        lambda: backer.get(f"/v1/pledges/{pledge.id}", ShownPledge),
        lambda seen: seen.state in ("saved", "funded"),
        f"{pledge.id} stands",
    )


def _decline_first_charge(stage: Stage, page: str) -> None:
    """Tells the sandbox to decline the first charge of the card that was saved on this page."""
    switch = {"what": "charge:decline", "subject": page.rpartition("/")[2]}
    answer = stage.web.post(f"{stage.settings.sandbox_base_url}/ui/behaviours", data=switch)
    if answer.status_code != httpx.codes.SEE_OTHER:
        answer.raise_for_status()


def _ended(stage: Stage, backer: Person, pledge: ShownPledge) -> ShownPledge:
    return stage.until(
        lambda: backer.get(f"/v1/pledges/{pledge.id}", ShownPledge),
        lambda seen: seen.state in ("released", "refunded"),
        f"{pledge.id} ends",
    )


def _mend(stage: Stage, backer: Person, pledge: ShownPledge) -> None:
    """Pays a charge that failed, with another card."""
    failed = stage.until(
        lambda: backer.get(f"/v1/pledges/{pledge.id}", ShownPledge),
        lambda seen: seen.state == "errored",
        f"the charge of {pledge.id} fails",
    )
    page = backer.post(f"/v1/pledges/{failed.id}/mend", ShownPledge).to_do
    if page is None or page.checkout_url is None:
        raise LocalError(f"{pledge.id} has no page to mend its charge")
    stage.press(page.checkout_url, "pay")


def _made_and_sent(
    stage: Stage,
    creator: Person,
    operator: Person,
    campaign: ShownCampaign,
    rewards: dict[str, Person],
) -> None:
    """First piece, lots, addresses, parcels, and the backers' word."""
    path = f"/v1/campaigns/{campaign.id}"
    for pledge_id, backer in rewards.items():
        backer.http.put(f"/v1/pledges/{pledge_id}/address", json=_ADDRESS).raise_for_status()
    news = {"title": "The first lamp is lit", "body": "See how it glows."}
    creator.post(f"{path}/updates", Anything, news)
    for number, part in ((2, "first lamp"), (3, "lots")):
        shown = {"note": f"See the {part}.", "file_ids": [creator.upload_picture("gold")]}
        creator.post(f"{path}/tranches/{number}/report", Anything, shown)
        operator.post(f"{path}/tranches/{number}/approve", Anything)
    seen = creator.get(path, ShownCampaign)
    stage.say(f"first lamp and lots are looked at: {seen.totals.released.text} released so far")
    creator.post(f"{path}/lock-rewards", Anything)
    parcels = [{"pledge_id": pledge_id} for pledge_id in rewards]
    creator.post(f"{path}/shipments", Anything, {"parcels": parcels})
    for pledge_id, backer in rewards.items():
        backer.post(f"/v1/pledges/{pledge_id}/received", Anything)


def _until(stage: Stage, person: Person, campaign: ShownCampaign, phase: str) -> ShownCampaign:
    return stage.until(
        lambda: person.get(f"/v1/campaigns/{campaign.id}", ShownCampaign),
        lambda seen: seen.phase == phase,
        f"{campaign.id} becomes {phase}",
    )


STORIES = (
    ("Campaign: funded, with a match call", funded_with_a_match),
    ("Campaign: not funded", not_funded),
)
