"""Which debt of a stopped campaign's creator income has paid, and what of it is shared, without any I/O."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain import accounts
from domain.claims import Claim, Debt, claim_paid, come_in, paid_off, to_share
from domain.postings import Share

AMOUNTS = st.integers(1, 10**12)
DEBTS = st.lists(
    st.builds(Debt, campaign_id=st.sampled_from([None, "one", "two"]), amount=AMOUNTS), max_size=8
)


@given(DEBTS, st.integers(0, 10**13), AMOUNTS, st.builds(Debt, amount=AMOUNTS))
def test_the_oldest_debt_is_paid_first_and_what_has_come_in_only_grows(
    debts: list[Debt], paid: int, more: int, newer: Debt
) -> None:
    parts = paid_off(debts, paid)
    owed = [each.amount for each in debts]
    assert sum(parts) == min(paid, sum(owed))
    assert all(0 <= part <= amount for part, amount in zip(parts, owed, strict=True))
    first = next((n for n, part in enumerate(parts) if part < owed[n]), len(parts))
    assert not any(parts[first + 1 :])
    for campaign in ("one", "two"):
        now = come_in(debts, paid, campaign)
        assert come_in(debts, paid + more, campaign) >= now
        # A debt that comes later, whoever it is owed to, takes nothing away from the backers.
        assert come_in([*debts, newer], min(paid, sum(owed)), campaign) == now


class Books:
    """One creator, two stopped campaigns, and everything that can happen to what is owed."""

    def __init__(self) -> None:
        self.debts: list[Debt] = []
        self.paid = 0
        self.balance: dict[str, int] = {}
        self.shared: dict[str, int] = {}
        self.banks = 0

    def owe(self, campaign: str | None, amount: int) -> None:
        """A stop, once for each campaign, or another debt."""
        if campaign is None or campaign not in self.balance:
            self.debts.append(Debt(campaign_id=campaign, amount=amount))
            if campaign is not None:
                self.balance[campaign], self.shared[campaign] = amount, 0

    def earn(self, amount: int) -> None:
        self.paid += min(amount, sum(each.amount for each in self.debts) - self.paid)

    def bank(self, campaign: str, amount: int) -> None:
        """A pledge is charged back: the claim pays first."""
        part = min(amount, self.balance.get(campaign, 0))
        if part:
            self.balance[campaign] -= part
            self.banks += part

    def pass_on(self, least: int, short_of_all: int) -> None:
        for campaign in self.balance:
            claim = self.claim(campaign)
            short = min(claim.balance, short_of_all)
            amount = to_share(claim.waiting, short, least=least, for_long=False)
            assert amount == 0 or amount >= min(least, short)
            assert amount <= claim.waiting <= claim.balance
            self.balance[campaign] -= amount
            self.shared[campaign] += amount

    def claim(self, campaign: str) -> Claim:
        return Claim(
            balance=self.balance[campaign],
            come_in=come_in(self.debts, self.paid, campaign),
            passed_on=self.shared[campaign],
        )

    def check(self) -> None:
        """Nobody gets what has not come in, and nothing that came in is lost."""
        for campaign, shared in self.shared.items():
            claim = self.claim(campaign)
            assert shared <= claim.come_in
            assert claim.waiting == 0 or claim.waiting + shared <= claim.come_in
        assert sum(self.shared.values()) <= self.paid


CAMPAIGNS = st.sampled_from(["one", "two"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("owe"), st.sampled_from([None, "one", "two"]), AMOUNTS),
        st.tuples(st.just("earn"), AMOUNTS),
        st.tuples(st.just("bank"), CAMPAIGNS, AMOUNTS),
        st.tuples(st.just("pass_on"), st.integers(1, 10**9), st.integers(0, 10**13)),
    ),
    max_size=30,
)


@given(STEPS)
def test_what_comes_in_is_passed_on_once_and_in_the_end_wholly(
    steps: list[tuple[str, object]],
) -> None:
    books = Books()
    for name, *values in steps:
        getattr(books, name)(*values)
        books.check()
    books.earn(10**15)
    books.pass_on(1_000, 10**15)
    books.check()
    assert not any(books.balance.values())
    made = sum(each.amount for each in books.debts if each.campaign_id)
    assert sum(books.shared.values()) + books.banks == made
    before = dict(books.shared)
    books.pass_on(1, 10**15)
    assert books.shared == before


def test_small_sums_wait_for_more_but_not_for_ever() -> None:
    assert to_share(999, 5_000, least=1_000, for_long=False) == 0
    assert to_share(999, 5_000, least=1_000, for_long=True) == 999
    assert to_share(1_000, 5_000, least=1_000, for_long=False) == 1_000
    assert to_share(7, 7, least=1_000, for_long=False) == 7
    assert to_share(9_000, 5_000, least=1_000, for_long=False) == 5_000
    assert to_share(9_000, 0, least=1_000, for_long=True) == 0


def test_what_is_passed_on_comes_out_of_the_claim() -> None:
    shares = [
        Share(account=accounts.payable(name), amount=part) for name, part in (("a", 3), ("b", 4))
    ]
    entry = claim_paid("key", "cmp", shares, "CNY")
    assert [(p.side, p.account.code, p.amount) for p in entry.postings] == [
        ("debit", "claim:cmp", 7),
        ("credit", "payable:a", 3),
        ("credit", "payable:b", 4),
    ]
    assert entry.path_id == "cmp"
