"""`python -m deploy.docs`: writes the generated parts of docs/ from the code; `--check` only compares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel

from domain import (
    ballot,
    campaign,
    contest,
    disputes,
    in_kind,
    lot,
    match_call,
    milestones,
    order,
    pledge,
    production,
    returns,
    sale,
    tender,
)
from domain.dispute_policy import DisputePolicy
from domain.policy import (
    BallotPolicy,
    CampaignPolicy,
    ContestPolicy,
    InKindPolicy,
    MatchPolicy,
    SalePolicy,
    TenderPolicy,
)
from domain.production_policy import ProductionPolicy
from domain.return_policy import ReturnPolicy

DOCS = Path(__file__).parent.parent / "docs"
BEGIN = "<!-- generated: python -m deploy.docs -->\n"
END = "<!-- end -->\n"


def sale_section() -> str:
    """The sale's state diagram, its windows and its commission, as the code has them."""
    arrows = [f"{old} --> {new}: {event}" for (old, event), new in sale.TRANSITIONS.items()]
    whole, hundredths = divmod(SalePolicy().fee_basis_points, 100)
    return (
        diagram(sale.Phase.PENDING_PAYMENT, arrows, sale.FINAL)
        + windows(SalePolicy(), "SALE_POLICY")
        + f"\nCommission: {whole}.{hundredths:02d} % of each line (`BAIGONG_SALE_POLICY__FEE_BASIS_POINTS`).\n"
    )


def order_section() -> str:
    """The order's state diagram, as the code has it; its one window is the sale's."""
    arrows = [f"{old} --> {new}: {event}" for (old, event), new in order.TRANSITIONS.items()]
    return diagram(order.Phase.PENDING_PAYMENT, arrows, order.FINAL)


def returns_section() -> str:
    """The return's state diagram and its windows, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in returns.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    return diagram(returns.Phase.ASKED, arrows, returns.FINAL) + windows(
        ReturnPolicy(), "RETURN_POLICY"
    )


def disputes_section() -> str:
    """The dispute's state diagram and its windows, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in disputes.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    policy = DisputePolicy()
    return (
        diagram(disputes.Phase.OPEN, arrows, disputes.FINAL)
        + windows(policy, "DISPUTE_POLICY")
        + f"\nFee of a ruling: {percent(policy.arbitration_basis_points)} of what is disputed, at most "
        f"{policy.arbitration_most} minor units.\n"
    )


def ballot_section() -> str:
    """The ballot's state diagram and its windows, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in ballot.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    return diagram(ballot.Phase.DRAFT, arrows, ballot.FINAL) + windows(
        BallotPolicy(), "BALLOT_POLICY"
    )


def tender_section() -> str:
    """The state diagrams of the tender and of one milestone, the windows and the fees, as the code has them."""
    path, part = (
        [
            f"{old} --> {new}: {event}"
            for (old, event), targets in transitions.items()
            for new in sorted(targets)
        ]
        for transitions in (tender.TRANSITIONS, milestones.TRANSITIONS)
    )
    policy = TenderPolicy()
    return (
        diagram(tender.Phase.DRAFT, path, tender.FINAL)
        + "\nEach milestone:\n\n"
        + diagram(milestones.State.WAITING, ["waiting --> funding", *part], milestones.ENDED)
        + windows(policy, "TENDER_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of what is released; listing fee: "
        f"{percent(policy.listing_fee_basis_points)} of the deposit.\n"
    )


def percent(basis_points: int) -> str:
    """Basis points as people read them."""
    whole, hundredths = divmod(basis_points, 100)
    return f"{whole}.{hundredths:02d} %"


def contest_section() -> str:
    """The contest's state diagram, its windows and its commission, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in contest.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    policy = ContestPolicy()
    nudges = ", ".join(_duration(offset) for offset in policy.nudge_seconds)
    return (
        diagram(contest.Phase.DRAFT, arrows, contest.FINAL)
        + windows(policy, "CONTEST_POLICY")
        + f"\nReminders after {nudges} (`BAIGONG_CONTEST_POLICY__NUDGE_SECONDS`). Commission: "
        f"{percent(policy.fee_basis_points)} of what is released.\n"
    )


def campaign_section() -> str:
    """The state diagrams of the campaign and of one pledge, the windows and the fee, as the code has them."""
    path = [
        f"{old} --> {new}: {event}"
        for (old, event), targets in campaign.TRANSITIONS.items()
        for new in sorted(targets)
    ]
    part = [f"{old} --> {new}" for old, targets in pledge.NEXT.items() for new in sorted(targets)]
    policy = CampaignPolicy()
    return (
        diagram(campaign.Phase.DRAFT, path, campaign.FINAL)
        + "\nEach pledge:\n\n"
        + diagram(pledge.PledgeState.INITIATED, part, pledge.ENDED)
        + windows(policy, "CAMPAIGN_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of what is released.\n"
    )


def match_call_section() -> str:
    """The match call's state diagram and its windows, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in match_call.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    return diagram(match_call.Phase.DRAFT, arrows, match_call.FINAL) + windows(
        MatchPolicy(), "MATCH_POLICY"
    )


def in_kind_section() -> str:
    """The state diagram of help in kind and its windows, as the code has them."""
    arrows = [
        f"{old} --> {new}: {event}"
        for (old, event), phases in in_kind.TRANSITIONS.items()
        for new in sorted(phases)
    ]
    return diagram(in_kind.Phase.DRAFT, arrows, in_kind.FINAL) + windows(
        InKindPolicy(), "IN_KIND_POLICY"
    )


def production_section() -> str:
    """The state diagrams of the production order and of a lot, the windows and the fee, as the code has them."""
    path, part = (
        [
            f"{old} --> {new}: {event}"
            for (old, event), targets in transitions.items()
            for new in sorted(targets)
        ]
        for transitions in (production.TRANSITIONS, lot.TRANSITIONS)
    )
    policy = ProductionPolicy()
    return (
        diagram(production.Phase.DRAFT, path, production.FINAL)
        + "\nEach lot:\n\n"
        + diagram(lot.Phase.SAMPLE, part, lot.FINAL)
        + windows(policy, "PRODUCTION_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of wages, "
        f"{percent(policy.protection_basis_points)} of it for the protection fund.\n"
    )


PAGES: dict[str, Callable[[], str]] = {
    "sale.md": sale_section,
    "order.md": order_section,
    "contest.md": contest_section,
    "ballot.md": ballot_section,
    "tender.md": tender_section,
    "campaign.md": campaign_section,
    "match_call.md": match_call_section,
    "in_kind.md": in_kind_section,
    "returns.md": returns_section,
    "disputes.md": disputes_section,
    "production.md": production_section,
}
"""Name of the page -> its generated part."""


def diagram(first: str, arrows: Iterable[str], last: Iterable[str]) -> str:
    """A state machine for people to look at."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {arrow}" for arrow in arrows]
    lines += [f"    {phase} --> [*]" for phase in sorted(last)]
    return "\n".join([*lines, "```", ""])


def windows(policy: BaseModel, setting: str) -> str:
    """Every window of a policy with its default and the setting that changes it."""
    lines = ["", "| window | default | setting |", "|---|---|---|"]
    lines += [
        f"| {_words(name)} | {_duration(getattr(policy, name))} | `BAIGONG_{setting}__{name.upper()}` |"
        for name in type(policy).model_fields
        if name.endswith("_seconds") and isinstance(getattr(policy, name), int)
    ]
    return "\n".join([*lines, ""])


def with_section(text: str, section: str) -> str:
    """The document with its generated part replaced."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{section}{END}{tail}"


def _words(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def main() -> int:
    """Writes or checks every page; 1 when `--check` finds one out of date."""
    stale = False
    for name, section in PAGES.items():
        page = DOCS / name
        current = page.read_text(encoding="utf-8")
        wanted = with_section(current, section())
        stale |= current != wanted
        if "--check" not in sys.argv[1:]:
            page.write_text(wanted, encoding="utf-8")
    return int(stale and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
