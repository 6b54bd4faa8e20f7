"""The journal by itself: it balances, the stored balances follow from it, and closed paths hold nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.checker.books import Account, Books, Entry, Posting
from tests.chaos.checker.found import Difference

_DEBIT_SIDE = {"cash", "clearing", "receivable", "psp_fee", "loss"}
_MAY_BE_BELOW_ZERO = {"cash", "dispute", "royalty", "fee", "psp_fee", "loss", "suspense"}
_OF_A_PATH = {"escrow", "deposit", "match", "refund_due", "dispute"}


def balance(account: Account) -> int:
    """What the database has stored, on the account's own side."""
    debits = account.debits_posted - account.credits_posted
    return debits if account.kind in _DEBIT_SIDE else -debits


def check_journal(books: Books) -> list[Difference]:
    """What is wrong with entries, balances and closed paths."""
    return [
        *_unbalanced(books),
        *_out_of_step(books),
        *_not_conserved(books),
        *_overdrawn(books),
        *_left_in_closed_paths(books),
        *_pending(books),
    ]


def _of_entries(books: Books) -> dict[int, list[Posting]]:
    found: dict[int, list[Posting]] = defaultdict(list)
    for posting in books.postings:
        found[posting.entry_id].append(posting)
    return found


def _unbalanced(books: Books) -> Iterator[Difference]:
    accounts = {each.id: each for each in books.accounts}
    postings = _of_entries(books)
    for entry in books.entries:
        sides: Counter[str] = Counter()
        for posting in postings[entry.id]:
            sides[posting.side] += posting.amount
            if accounts[posting.account_id].currency != entry.currency:
                yield Difference("currency mixed", entry.key, accounts[posting.account_id].name)
        if not sides["debit"] == sides["credit"] == entry.total:
            yield Difference(
                "entry unbalanced",
                entry.key,
                f"debits {sides['debit']}, credits {sides['credit']}, total {entry.total}",
            )


def derived(books: Books) -> dict[int, tuple[int, int, int, int]]:
    """By account: debits and credits, posted and pending, as the postings alone give them."""
    entries = {each.id: each for each in books.entries}
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for posting in books.postings:
        for what, sign in _effects(entries[posting.entry_id]):
            found[posting.account_id][f"{posting.side} {what}"] += sign * posting.amount
    order = ("debit posted", "credit posted", "debit pending", "credit pending")
    return {
        account: (sums[order[0]], sums[order[1]], sums[order[2]], sums[order[3]])
        for account, sums in found.items()
    }


def _effects(entry: Entry) -> Iterator[tuple[str, int]]:
    if entry.status == "pending":
        yield "pending", 1
    if entry.resolves_id is not None:
        yield "pending", -1
    if entry.status == "posted":
        yield "posted", 1


def _out_of_step(books: Books) -> Iterator[Difference]:
    sums = derived(books)
    for account in books.accounts:
        stored = (
            account.debits_posted,
            account.credits_posted,
            account.debits_pending,
            account.credits_pending,
        )
        given = sums.get(account.id, (0, 0, 0, 0))
        if stored != given:
            detail = f"stored {stored}, the postings give {given}"
            yield Difference("balance differs", account.name, detail)


def _not_conserved(books: Books) -> Iterator[Difference]:
    totals: Counter[str] = Counter()
    for account in books.accounts:
        totals[account.currency] += account.debits_posted - account.credits_posted
    for currency, rest in totals.items():
        if rest:
            yield Difference("money not conserved", currency, f"debits exceed credits by {rest}")


def _overdrawn(books: Books) -> Iterator[Difference]:
    for account in books.accounts:
        if account.kind not in _MAY_BE_BELOW_ZERO and balance(account) < 0:
            yield Difference("overdrawn", account.name, str(balance(account)))


def _left_in_closed_paths(books: Books) -> Iterator[Difference]:
    closed = {each.id for each in books.paths if each.is_closed}
    path_of = {refund.id: refund.path_id for refund in books.refunds}
    path_of |= {chargeback.id: chargeback.path_id for chargeback in books.chargebacks}
    for account in books.accounts:
        if account.kind not in _OF_A_PATH:
            continue
        owner = account.owner.partition(":")[0]
        path = path_of.get(owner, owner)
        pending = account.debits_pending or account.credits_pending
        if path in closed and (balance(account) or pending):
            detail = f"{path} is closed, but {balance(account)} is left, pending {pending}"
            yield Difference("closed path holds money", account.name, detail)


def _pending(books: Books) -> Iterator[Difference]:
    ended = {each.resolves_id for each in books.entries}
    for entry in books.entries:
        if entry.status == "pending" and entry.id not in ended:
            yield Difference("hold never ended", entry.key, f"{entry.total} {entry.currency}")
