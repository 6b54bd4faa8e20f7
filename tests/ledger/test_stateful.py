"""Random ways to use the ledger, side by side with a model of it that is too simple to be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from domain import accounts, postings
from domain.accounts import FEE, Account, may_go_below_zero, normal_side
from domain.errors import IdempotencyConflict, InsufficientFunds, WrongPhase
from domain.money import split
from domain.postings import JournalEntry, Share
from ledger import invariants
from ledger.journal import hold, post, post_pending, void_pending
from tests.ledger.book import PROVIDER
from tests.ledger.conftest import empty

T = TypeVar("T")
Ref = tuple[Account, str]

paths = st.sampled_from(["sale1", "sale2"])
users = st.sampled_from(["ann", "bo"])
currencies = st.sampled_from(["CNY", "JPY"])
amounts = st.integers(min_value=1, max_value=1_000)


@st.composite
def entries(draw: st.DrawFn) -> JournalEntry:
    """A macro with random facts; the key is set by whoever posts it."""
    path, user, currency, amount = draw(paths), draw(users), draw(currencies), draw(amounts)
    other = draw(st.integers(min_value=0, max_value=amount))
    pay, fee = split(amount, [9, 1])
    shares = [
        Share(account=accounts.payable(user), amount=pay),
        Share(account=FEE, amount=fee),
    ]
    macros: list[Callable[[], JournalEntry]] = [
        lambda: postings.fund("", path, PROVIDER, amount * 2, currency),
        lambda: postings.settle("", path, PROVIDER, amount, other, currency),
        lambda: postings.release("", path, shares, currency),
        lambda: postings.protect("", path, amount, currency),
        lambda: postings.compensate("", path, accounts.payable(user), amount, other, currency),
        lambda: postings.refund("", path, f"ref-{path}", amount, currency),
        lambda: postings.refund_paid("", path, f"ref-{path}", PROVIDER, amount, currency),
        lambda: postings.refund_to_balance("", path, f"ref-{path}", user, amount, currency),
        lambda: postings.clawback("", path, user, amount, other, currency),
        lambda: postings.payout("", f"out-{user}", user, amount, currency),
        lambda: postings.payout_paid("", f"out-{user}", PROVIDER, amount, other, currency),
        lambda: postings.payout_failed("", f"out-{user}", user, amount, currency),
        lambda: postings.chargeback_open("", path, "dis", PROVIDER, amount, other, currency),
        lambda: postings.freeze("", user, amount, currency),
        lambda: postings.unfreeze("", user, amount, currency),
    ]
    return draw(st.sampled_from(macros))()


@dataclass
class Model:
    """Signed balances and open holds, in plain dictionaries."""

    posted: dict[Ref, int] = field(default_factory=dict)
    holds: dict[str, JournalEntry] = field(default_factory=dict)

    def available(self, ref: Ref) -> int:
        reserved = sum(
            max(0, -self.effect(p, ref[0]))
            for e in self.holds.values()
            for p in e.postings
            if (p.account, e.currency) == ref
        )
        return self.posted.get(ref, 0) - reserved

    @staticmethod
    def effect(posting: postings.Posting, account: Account) -> int:
        return posting.amount if posting.side is normal_side(account.kind) else -posting.amount

    def affords(self, entry: JournalEntry) -> bool:
        return all(
            may_go_below_zero(p.account.kind)
            or self.available((p.account, entry.currency)) + self.effect(p, p.account) >= 0
            for p in entry.postings
            if self.effect(p, p.account) < 0
        )

    def move(self, entry: JournalEntry) -> None:
        for p in entry.postings:
            ref = (p.account, entry.currency)
            self.posted[ref] = self.posted.get(ref, 0) + self.effect(p, p.account)


class LedgerMachine(RuleBasedStateMachine):
    """Posts, replays, conflicts, holds and ends; the database and the model must agree after each."""

    url: str
    runner: asyncio.Runner
    database: Database

    def __init__(self) -> None:
        super().__init__()
        empty(self.url)
        self.model = Model()
        self.written: list[JournalEntry] = []
        self.held: list[JournalEntry] = []
        self.ended: list[str] = []
        self.keys = 0

    def new(self, entry: JournalEntry) -> JournalEntry:
        self.keys += 1
        return entry.model_copy(update={"key": f"key{self.keys}"})

    def run(self, work: Callable[[AsyncSession], Coroutine[None, None, T]]) -> T:
        async def transaction() -> T:
            async with self.database.transaction() as session:
                return await work(session)

        return self.runner.run(transaction())

    @rule(drawn=st.lists(entries(), min_size=1, max_size=3))
    def post(self, drawn: list[JournalEntry]) -> None:
        """All of a call, or nothing of it."""
        made = [self.new(e) for e in drawn]
        trial = Model(dict(self.model.posted), dict(self.model.holds))
        possible = True
        for entry in made:
            possible = possible and trial.affords(entry)
            trial.move(entry)
        if possible:
            answers = self.run(lambda s: post(s, *made))
            assert all(a.written for a in answers)
            self.model = trial
            self.written += made
        else:
            with pytest.raises(InsufficientFunds):
                self.run(lambda s: post(s, *made))

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.written))
        [answer] = self.run(lambda s: post(s, entry))
        assert not answer.written

    @precondition(lambda self: self.written)
    @rule(data=st.data(), other=entries())
    def conflict(self, data: st.DataObject, other: JournalEntry) -> None:
        known = data.draw(st.sampled_from(self.written))
        changed = other.model_copy(update={"key": known.key, "path_id": "changed"})
        with pytest.raises(IdempotencyConflict):
            self.run(lambda s: post(s, changed))

    @rule(drawn=entries())
    def hold(self, drawn: JournalEntry) -> None:
        entry = self.new(drawn)
        if self.model.affords(entry):
            assert self.run(lambda s: hold(s, entry)).written
            self.model.holds[entry.key] = entry
            self.held.append(entry)
        else:
            with pytest.raises(InsufficientFunds):
                self.run(lambda s: hold(s, entry))

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), moves=st.booleans())
    def end(self, data: st.DataObject, moves: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.holds)))
        finish = post_pending if moves else void_pending
        for expected in (True, False):
            assert self.run(lambda s: finish(s, f"end-{key}", key)).written is expected
        entry = self.model.holds.pop(key)
        if moves:
            self.model.move(entry)
        self.ended.append(key)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), moves=st.booleans())
    def end_again(self, data: st.DataObject, moves: bool) -> None:
        key = data.draw(st.sampled_from(self.ended))
        finish = post_pending if moves else void_pending
        with pytest.raises(WrongPhase):
            self.run(lambda s: finish(s, f"again-{key}", key))

    @invariant()
    def database_agrees(self) -> None:
        async def look(session: AsyncSession) -> tuple[list[invariants.Violation], dict[Ref, int]]:
            violations = await invariants.check(session)
            rows = await session.execute(
                text("SELECT kind, owner, currency, balance FROM ledger_accounts")
            )
            stored = {
                (Account(kind=r.kind, owner=r.owner), str(r.currency)): int(r.balance) for r in rows
            }
            return violations, stored

        violations, stored = self.run(look)
        assert violations == []
        assert {ref: n for ref, n in stored.items() if n} == {
            ref: n for ref, n in self.model.posted.items() if n
        }


def test_the_ledger_agrees_with_the_model(ledger_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(ledger_url, pool_size=1)
        LedgerMachine.url = ledger_url
        LedgerMachine.runner = runner
        LedgerMachine.database = database
        try:
            run_state_machine_as_test(
                LedgerMachine,
                settings=settings(
                    max_examples=12,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.aclose())
