"""Our books against the provider's own: each movement there has exactly one entry here, and the other way round."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.checker.books import (
    Books,
    Entry,
    Payment,
    Payout,
    Refund,
    TheirPayment,
    TheirPayout,
    TheirRefund,
    Theirs,
)
from tests.chaos.checker.found import Difference
from tests.chaos.checker.journal import balance

_NOT_ARRIVED = ("in_transit", "awaiting_payee")


@dataclass(frozen=True)
class Moved:
    """Money in or out of our balance at the provider; signed minor units."""

    subject: str
    kind: str
    amount: int
    currency: str


def check_provider(books: Books, theirs: Theirs) -> list[Difference]:
    """What either side has and the other has not, amounts that differ, and money that moved twice."""
    return [
        *_same(theirs.payments, {each.id: each for each in books.payments}, ("captured",)),
        *_same(theirs.refunds, {each.id: each for each in books.refunds}, ("succeeded",)),
        *_same(theirs.payouts, {each.id: each for each in books.payouts}, ("paid", "returned")),
        *_twice("charged twice", theirs.payments, ("captured",)),
        *_twice("refunded twice", theirs.refunds, ("succeeded", "pending")),
        *_twice("paid out twice", theirs.payouts, ("paid", "returned", *_NOT_ARRIVED)),
        *_too_much_refunded(theirs),
        *_statement(theirs),
        *_captures(books, theirs),
        *_entries(books, theirs),
        *_failed_payouts(books, theirs),
        *_balances(books, theirs),
    ]


_Ours = Payment | Refund | Payout
_TheirOne = TheirPayment | TheirRefund | TheirPayout


def _same(
    there: Sequence[_TheirOne], here: Mapping[str, _Ours], moved: tuple[str, ...]
) -> Iterator[Difference]:
    """What has moved there is known here, and both mean the same by it."""
    for each in there:
        if each.status not in moved:
            continue
        ours = here.get(each.subject)
        if ours is None:
            yield Difference("unknown here", each.reference, f"{each.amount} of {each.subject}")
            continue
        mine = (ours.reference, ours.operation_id, ours.amount, ours.currency, ours.status)
        yours = (each.reference, each.operation_id, each.amount, each.currency, each.status)
        if mine != yours:
            yield Difference("rows differ", ours.id, f"here {mine}, there {yours}")
    by_subject = {each.subject for each in there if each.status in moved}
    for ours in here.values():
        if ours.status in moved and ours.id not in by_subject:
            yield Difference("unknown there", ours.id, f"{ours.amount}, {ours.status} here")


def _twice(
    check: str, there: Iterable[_TheirOne], standing: tuple[str, ...]
) -> Iterator[Difference]:
    counted = Counter(each.subject for each in there if each.status in standing)
    for subject, times in counted.items():
        if times > 1:
            yield Difference(check, subject, f"{times} times at the provider")


def _too_much_refunded(theirs: Theirs) -> Iterator[Difference]:
    refunded: Counter[str] = Counter()
    for each in theirs.refunds:
        if each.status != "refused":
            refunded[each.payment_reference] += each.amount
    amounts = {each.reference: each.amount for each in theirs.payments}
    for payment, amount in refunded.items():
        if amount > amounts[payment]:
            yield Difference("refunded too much", payment, f"{amount} of {amounts[payment]}")


def _statement(theirs: Theirs) -> Iterator[Difference]:
    """The provider's statement is what its objects say: else its books could not be compared with ours."""
    lines: dict[str, Counter[str]] = defaultdict(Counter)
    for line in theirs.movements:
        lines[line.reference][line.kind] += line.amount
    for reference, expected in _their_lines(theirs):
        if {kind: n for kind, n in lines.pop(reference, Counter()).items() if n} != expected:
            yield Difference("statement differs", reference, f"should say {expected}")
    for reference, sums in lines.items():
        yield Difference("statement differs", reference, f"says {dict(sums)} about nothing")


def _their_lines(theirs: Theirs) -> Iterator[tuple[str, dict[str, int]]]:
    for payment in theirs.payments:
        if payment.status == "captured" and payment.settled:
            lines = {"payment": payment.amount, "fee": -payment.fee}
            yield payment.reference, {kind: n for kind, n in lines.items() if n}
    for refund in theirs.refunds:
        if refund.status == "succeeded":
            yield refund.reference, {"refund": -refund.amount}
    for dispute in theirs.disputes:
        lines = {"dispute": -dispute.amount, "dispute_fee": -dispute.fee}
        if dispute.status == "won":
            lines["dispute_return"] = dispute.amount
        yield dispute.reference, {kind: n for kind, n in lines.items() if n}
    moved = {each.reference for each in theirs.movements}
    for payout in theirs.payouts:
        if payout.reference not in moved:
            continue  # refused at once, as the balance was too low
        lines = {"payout": -payout.amount, "payout_fee": -payout.fee}
        if payout.status in ("failed", "returned"):
            lines["payout_return"] = payout.amount
        yield payout.reference, {kind: n for kind, n in lines.items() if n}


def _captures(books: Books, theirs: Theirs) -> Iterator[Difference]:
    """Each captured payment has filled an account of ours once: one entry, or one for each part of an order."""
    clearing = {each.id for each in books.accounts if each.kind == "clearing"}
    entries = {each.id: each for each in books.entries if each.status == "posted"}
    funded: dict[str, list[int]] = defaultdict(list)
    keys: dict[str, int] = Counter()
    for posting in books.postings:
        entry = entries.get(posting.entry_id)
        if entry and posting.account_id in clearing and posting.side == "debit":
            funded[entry.subject].append(posting.amount)
            keys[f"{entry.subject} {entry.path_id}"] += 1
    for key, times in keys.items():
        if times > 1:
            yield Difference("funded twice", key, f"{times} entries for one path")
    for payment in theirs.payments:
        amounts = funded.pop(payment.subject, [])
        captured = payment.amount if payment.status == "captured" else 0
        if sum(amounts) != captured:
            detail = f"captured {captured}, entries {amounts}"
            yield Difference("capture without its entry", payment.subject, detail)
    for subject, amounts in funded.items():
        yield Difference("entry without a capture", subject, f"{amounts}")


def _entries(books: Books, theirs: Theirs) -> Iterator[Difference]:
    """One entry here for each movement there, to the minor unit; and none besides."""
    here = Counter(_cash_entries(books))
    there = Counter(_expected(books, theirs))
    for moved, times in (there - here).items():
        yield Difference(
            "movement without its entry",
            moved.subject,
            f"{moved.kind} {moved.amount} {moved.currency} at the provider, {times} missing here",
        )
    for moved, times in (here - there).items():
        yield Difference(
            "entry without a movement",
            moved.subject,
            f"{moved.kind} {moved.amount} {moved.currency} in the journal, {times} too many",
        )


def _cash_entries(books: Books) -> Iterator[Moved]:
    cash = {each.id for each in books.accounts if each.kind == "cash"}
    entries = {each.id: each for each in books.entries if each.status == "posted"}
    sums: Counter[int] = Counter()
    touched: dict[int, Entry] = {}
    for posting in books.postings:
        entry = entries.get(posting.entry_id)
        if entry and posting.account_id in cash:
            sums[entry.id] += posting.amount if posting.side == "debit" else -posting.amount
            touched[entry.id] = entry
    for entry in touched.values():
        yield Moved(entry.subject, entry.kind, sums[entry.id], entry.currency)


def _expected(books: Books, theirs: Theirs) -> Iterator[Moved]:
    """What the journal must say about cash, from the provider's objects alone."""
    for payment in theirs.payments:
        if payment.status == "captured" and payment.settled:
            amount = payment.amount - payment.fee
            yield Moved(payment.subject, "settle", amount, payment.currency)
    for refund in theirs.refunds:
        if refund.status == "succeeded":
            yield Moved(refund.subject, "refund_paid", -refund.amount, refund.currency)
    for payout in theirs.payouts:
        if payout.status in ("paid", "returned"):
            amount = -payout.amount - payout.fee
            yield Moved(payout.subject, "payout_paid", amount, payout.currency)
        if payout.status == "returned":
            yield Moved(payout.subject, "payout_returned", payout.amount, payout.currency)
    ours = {each.reference: each.id for each in books.chargebacks}
    for dispute in theirs.disputes:
        subject = ours.get(dispute.reference, dispute.reference)
        amount = -dispute.amount - dispute.fee
        yield Moved(subject, "chargeback_open", amount, dispute.currency)
        if dispute.status == "won":
            yield Moved(subject, "chargeback_won", dispute.amount, dispute.currency)


def _failed_payouts(books: Books, theirs: Theirs) -> Iterator[Difference]:
    """A payout that failed before it arrived has gone back to its payee once; one that did not fail has not."""
    back = Counter(each.subject for each in books.entries if each.kind == "payout_failed")
    out = Counter(each.subject for each in books.entries if each.kind == "payout")
    failed = {each.subject for each in theirs.payouts if each.status == "failed"}
    asked = {each.subject for each in theirs.payouts}
    for payout in books.payouts:
        if out[payout.id] != 1:
            yield Difference("payout without its entry", payout.id, f"{out[payout.id]} entries")
        refused = payout.status in ("failed", "cancelled") and payout.id not in asked
        wanted = 1 if payout.id in failed or refused else 0
        if back[payout.id] != wanted:
            detail = f"put back {back[payout.id]} times instead of {wanted}"
            yield Difference("failed payout not put back once", payout.id, detail)


def _balances(books: Books, theirs: Theirs) -> Iterator[Difference]:
    """Our cash is the provider's balance and what it has already taken for payouts on their way."""
    cash: Counter[str] = Counter()
    clearing: Counter[str] = Counter()
    for account in books.accounts:
        if account.kind in ("cash", "clearing"):
            (cash if account.kind == "cash" else clearing)[account.currency] += balance(account)
    there = {each.currency: each.amount for each in theirs.balances}
    on_the_way: Counter[str] = Counter()
    for payout in theirs.payouts:
        if payout.status in _NOT_ARRIVED:
            on_the_way[payout.currency] += payout.amount + payout.fee
    unsettled: Counter[str] = Counter()
    for payment in theirs.payments:
        if payment.status == "captured" and not payment.settled:
            unsettled[payment.currency] += payment.amount
    for currency in sorted({*cash, *there, *clearing, *unsettled}):
        held = there.get(currency, 0) + on_the_way[currency]
        if cash[currency] != held:
            yield Difference("cash differs", currency, f"{cash[currency]} here, {held} there")
        if clearing[currency] != unsettled[currency]:
            detail = f"{clearing[currency]} here, {unsettled[currency]} there"
            yield Difference("clearing differs", currency, detail)
