"""`python -m deploy.docs`: writes the generated parts of docs/ from the code; `--check` only compares."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from deploy import docs_timers
from domain import (
    ballot,
    campaign,
    chargebacks,
    commands,
    contest,
    disputes,
    in_kind,
    lot,
    match_call,
    milestones,
    operator_cases,
    order,
    payments,
    people,
    pledge,
    production,
    returns,
    sale,
    tender,
)
from domain.dispute_policy import DisputePolicy
from domain.moves import StateT
from domain.operator_policy import OperatorPolicy
from domain.policy import (
    BallotPolicy,
    CampaignPolicy,
    ChargebackPolicy,
    ContestPolicy,
    InKindPolicy,
    MatchPolicy,
    PayoutPolicy,
    RefundPolicy,
    SalePolicy,
    TenderPolicy,
)
from domain.production_policy import ProductionPolicy
from domain.return_policy import ReturnPolicy

EventT = TypeVar("EventT", bound=StrEnum)
DOCS = Path(__file__).parent.parent / "docs"
BEGIN = "<!-- generated: python -m deploy.docs -->\n"
BEGIN_TESTS = "<!-- generated: tests -->\n"
END = "<!-- end -->\n"


def sale_section() -> str:
    """The sale's state diagram, its windows and its commission, as the code has them."""
    return (
        diagram(sale.Phase.PENDING_PAYMENT, events(sale.TRANSITIONS), sale.FINAL)
        + windows(SalePolicy(), "SALE_POLICY")
        + f"\nCommission: {percent(SalePolicy().fee_basis_points)} of each line "
        "(`BAIGONG_SALE_POLICY__FEE_BASIS_POINTS`).\n"
    )


def order_section() -> str:
    """The order's state diagram, as the code has it; its one window is the sale's."""
    return diagram(order.Phase.PENDING_PAYMENT, events(order.TRANSITIONS), order.FINAL)


def returns_section() -> str:
    """The return's state diagram and its windows, as the code has them."""
    return diagram(returns.Phase.ASKED, events(returns.TRANSITIONS), returns.FINAL) + windows(
        ReturnPolicy(), "RETURN_POLICY"
    )


def disputes_section() -> str:
    """The dispute's state diagram and its windows, as the code has them."""
    policy = DisputePolicy()
    return (
        diagram(disputes.Phase.OPEN, events(disputes.TRANSITIONS), disputes.FINAL)
        + windows(policy, "DISPUTE_POLICY")
        + f"\nFee of a ruling: {percent(policy.arbitration_basis_points)} of what is disputed, at most "
        f"{policy.arbitration_most} minor units.\n"
    )


def ballot_section() -> str:
    """The ballot's state diagram and its windows, as the code has them."""
    return diagram(ballot.Phase.DRAFT, events(ballot.TRANSITIONS), ballot.FINAL) + windows(
        BallotPolicy(), "BALLOT_POLICY"
    )


def tender_section() -> str:
    """The state diagrams of the tender and of one milestone, the windows and the fees, as the code has them."""
    policy = TenderPolicy()
    part = ["waiting --> funding", *events(milestones.TRANSITIONS)]
    return (
        diagram(tender.Phase.DRAFT, events(tender.TRANSITIONS), tender.FINAL)
        + "\nEach milestone:\n\n"
        + diagram(milestones.State.WAITING, part, milestones.ENDED)
        + windows(policy, "TENDER_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of what is released; listing fee: "
        f"{percent(policy.listing_fee_basis_points)} of the deposit.\n"
    )


def contest_section() -> str:
    """The contest's state diagram, its windows and its commission, as the code has them."""
    policy = ContestPolicy()
    nudges = ", ".join(_duration(offset) for offset in policy.nudge_seconds)
    return (
        diagram(contest.Phase.DRAFT, events(contest.TRANSITIONS), contest.FINAL)
        + windows(policy, "CONTEST_POLICY")
        + f"\nReminders after {nudges} (`BAIGONG_CONTEST_POLICY__NUDGE_SECONDS`). Commission: "
        f"{percent(policy.fee_basis_points)} of what is released.\n"
    )


def campaign_section() -> str:
    """The state diagrams of the campaign and of one pledge, the windows and the fee, as the code has them."""
    policy = CampaignPolicy()
    return (
        diagram(campaign.Phase.DRAFT, events(campaign.TRANSITIONS), campaign.FINAL)
        + "\nEach pledge:\n\n"
        + diagram(pledge.PledgeState.INITIATED, moves(pledge.NEXT), pledge.ENDED)
        + windows(policy, "CAMPAIGN_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of what is released.\n"
    )


def match_call_section() -> str:
    """The match call's state diagram and its windows, as the code has them."""
    path = events(match_call.TRANSITIONS)
    return diagram(match_call.Phase.DRAFT, path, match_call.FINAL) + windows(
        MatchPolicy(), "MATCH_POLICY"
    )


def in_kind_section() -> str:
    """The state diagram of help in kind and its windows, as the code has them."""
    return diagram(in_kind.Phase.DRAFT, events(in_kind.TRANSITIONS), in_kind.FINAL) + windows(
        InKindPolicy(), "IN_KIND_POLICY"
    )


def production_section() -> str:
    """The state diagrams of the production order and of a lot, the windows and the fee, as the code has them."""
    policy = ProductionPolicy()
    return (
        diagram(production.Phase.DRAFT, events(production.TRANSITIONS), production.FINAL)
        + "\nEach lot:\n\n"
        + diagram(lot.Phase.SAMPLE, events(lot.TRANSITIONS), lot.FINAL)
        + windows(policy, "PRODUCTION_POLICY")
        + f"\nCommission: {percent(policy.fee_basis_points)} of wages, "
        f"{percent(policy.protection_basis_points)} of it for the protection fund.\n"
    )


def payment_section() -> str:
    """The payment's state diagram; its windows are those of the path that is paid for."""
    table = payments.PAYMENT_MOVES
    return diagram(payments.PaymentState.REQUESTED, moves(table), ended(table))


def refund_section() -> str:
    """The refund's state diagram and its windows, as the code has them."""
    table = payments.REFUND_MOVES
    return diagram(payments.RefundState.REQUESTED, moves(table), ended(table)) + windows(
        RefundPolicy(), "REFUND_POLICY"
    )


def payout_section() -> str:
    """The payout's state diagram and its windows, as the code has them."""
    table = payments.PAYOUT_MOVES
    first = payments.PayoutState.REQUESTED
    arrows = [f"[*] --> {payments.PayoutState.HELD}", *moves(table)]
    return diagram(first, arrows, {*ended(table), payments.PayoutState.PAID}) + windows(
        PayoutPolicy(), "PAYOUT_POLICY"
    )


def chargeback_section() -> str:
    """The chargeback's state diagram and its windows, as the code has them."""
    table = chargebacks.CHARGEBACK_MOVES
    last = {chargebacks.ChargebackState.WON, chargebacks.ChargebackState.LOST}
    return diagram(chargebacks.ChargebackState.OPEN, moves(table), last) + windows(
        ChargebackPolicy(), "CHARGEBACK_POLICY"
    )


def operators_section() -> str:
    """The state diagrams of cases and commands, and their windows, as the code has them."""
    case, command = operator_cases.CASE_MOVES, commands.COMMAND_MOVES
    return (
        "A case:\n\n"
        + diagram(operator_cases.CaseState.OPEN, moves(case), ended(case))
        + "\nA command:\n\n"
        + diagram(commands.CommandState.PROPOSED, moves(command), ended(command))
        + windows(OperatorPolicy(), "OPERATOR_POLICY")
    )


_ACCOUNT_FACTS = {
    "in_review": (people.AccountEvent.REVIEW_ASKED, "case closed"),
    "limited": (people.AccountEvent.LIMITED, people.AccountEvent.ALLOWED),
    "frozen": (people.AccountEvent.FROZEN, people.AccountEvent.UNFROZEN),
    "closing": (people.AccountEvent.CLOSING, people.AccountEvent.CLOSING_CANCELLED),
    "closed": (people.AccountEvent.CLOSED, ""),
}
"""What begins and what ends each of the facts that make up `people.account_state`."""


def accounts_section() -> str:
    """The account's state diagram: every way in which one event changes what `people.account_state` says."""
    arrows = set[str]()
    for bits in product((False, True), repeat=len(_ACCOUNT_FACTS)):
        now = dict(zip(_ACCOUNT_FACTS, bits, strict=True))
        for fact, (begins, ends) in _ACCOUNT_FACTS.items():
            then = {**now, fact: not now[fact]}
            # Nobody is closed without having been closing, or comes back from it; who is frozen cannot begin to close.
            if now["closed"] or (then["closed"] and not now["closing"]):
                continue
            if fact == "closing" and now["frozen"] and then["closing"]:
                continue
            old, new = people.account_state(**now), people.account_state(**then)
            if old is not new:
                arrows.add(f"{old} --> {new}: {ends if now[fact] else begins}")
    return diagram(people.AccountState.ACTIVE, sorted(arrows), {people.AccountState.CLOSED})


def events(
    table: Mapping[tuple[StateT, EventT], StateT]
    | Mapping[tuple[StateT, EventT], frozenset[StateT]],
) -> list[str]:
    """The arrows of a state machine whose events have names."""
    return [
        f"{old} --> {new}: {event}"
        for (old, event), found in table.items()
        for new in (sorted(found) if isinstance(found, frozenset) else [found])
    ]


def moves(table: Mapping[StateT, frozenset[StateT]]) -> list[str]:
    """The arrows of a state machine of rows."""
    return [f"{old} --> {new}" for old, found in table.items() for new in sorted(found)]


def ended(table: Mapping[StateT, frozenset[StateT]]) -> set[StateT]:
    """States without a way out."""
    return {state for state, found in table.items() if not found}


def percent(basis_points: int) -> str:
    """Basis points as people read them."""
    whole, hundredths = divmod(basis_points, 100)
    return f"{whole}.{hundredths:02d} %"


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
    "payment.md": payment_section,
    "refund.md": refund_section,
    "payout.md": payout_section,
    "chargeback.md": chargeback_section,
    "operators.md": operators_section,
    "accounts.md": accounts_section,
}
"""Name of the page -> its diagrams and windows."""
TIMERS = {
    "sale.md": ("sale",),
    "order.md": ("order",),
    "contest.md": ("contest_deadlines",),
    "ballot.md": ("ballot",),
    "tender.md": ("tender_deadlines",),
    "campaign.md": ("campaign_deadlines", "campaign_delivery"),
    "match_call.md": ("match_call_deadlines",),
    "in_kind.md": ("in_kind_deadlines",),
    "production.md": ("production_deadlines", "lot_deadlines"),
}
"""Name of the page -> modules of domain/ that make the deadlines of its path."""
TESTS = {
    "sale.md": "stories/test_sale*.py unit/test_sale*.py",
    "order.md": "stories/test_orders*.py",
    "contest.md": "stories/test_contest*.py unit/test_contest*.py",
    "ballot.md": "stories/test_ballot*.py unit/test_ballot*.py",
    "tender.md": "stories/test_tender*.py unit/test_tender*.py unit/test_milestones.py",
    "campaign.md": "stories/test_campaign*.py stories/test_pledge*.py unit/test_campaign*.py "
    "ledger/test_campaign_postings.py",
    "match_call.md": "stories/test_match_call*.py unit/test_match_call*.py",
    "in_kind.md": "stories/test_in_kind*.py unit/test_in_kind*.py",
    "production.md": "stories/test_production*.py stories/test_lot*.py stories/test_inspection*.py "
    "unit/test_production*.py unit/test_lot*.py unit/test_inspection*.py unit/test_sampling*.py "
    "ledger/test_production_postings.py",
    "returns.md": "stories/test_returns.py",
    "disputes.md": "stories/test_disputes*.py stories/test_unhappy_kinds.py",
    "payment.md": "stories/test_payments.py stories/test_second_looks.py stories/test_webhooks.py "
    "ledger/test_worked_postings.py",
    "refund.md": "stories/test_refund*.py ledger/test_back_postings.py",
    "payout.md": "stories/test_payout*.py stories/test_payee*.py",
    "chargeback.md": "stories/test_chargeback*.py unit/test_chargeback*.py",
    "operators.md": "stories/test_cases.py stories/test_commands.py stories/test_four_eyes.py "
    "stories/test_bulk.py stories/test_corrections.py stories/test_stuck.py stories/test_holds.py "
    "stories/test_unwind.py stories/test_rehearsal.py stories/test_reconciliation.py "
    "unit/test_command*.py unit/test_reconciliation*.py",
    "accounts.md": "stories/test_frozen.py stories/test_limits.py stories/test_closing.py "
    "api/test_gates.py",
}
"""Name of the page -> the tests that prove it, below tests/."""


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


def tests_of(name: str) -> str:
    """The tests that prove a page, each with what it says of itself."""
    files = [
        file
        for pattern in TESTS[name].split()
        for file in sorted((DOCS.parent / "tests").glob(pattern))
    ]
    lines = ["", "| proved by | |", "|---|---|"]
    lines += [
        f"| [{file.stem.removeprefix('test_')}](../{file.relative_to(DOCS.parent)}) "
        f"| {_first_words(file)} |"
        for file in files
    ]
    return "\n".join([*lines, ""])


def _first_words(file: Path) -> str:
    words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return words.split("\n\n")[0].replace("\n", " ").replace("|", "or")


def page(name: str, text: str) -> str:
    """The document with both of its generated parts as they should be."""
    timers = docs_timers.table(TIMERS[name]) if name in TIMERS else ""
    text = _with_part(text, BEGIN, PAGES[name]() + timers)
    return _with_part(text, BEGIN_TESTS, tests_of(name))


def _with_part(text: str, begin: str, part: str) -> str:
    head, found, rest = text.partition(begin)
    _, _, tail = rest.partition(END)
    return f"{head if found else head.rstrip() + chr(10) * 2}{begin}{part}{END}{tail}"


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
    for name in PAGES:
        file = DOCS / name
        current = file.read_text(encoding="utf-8")
        wanted = page(name, current)
        stale |= current != wanted
        if "--check" not in sys.argv[1:]:
            file.write_text(wanted, encoding="utf-8")
    return int(stale and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
