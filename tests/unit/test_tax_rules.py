"""Which money counts as income, which as taken back, and in which quarter."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from domain.postings import EntryKind
from domain.tax import EntryFacts, Quarter, due_quarters, fee_share, figures
from runtime.sealing import CannotUnseal, seal, unseal

SHANGHAI = ZoneInfo("Asia/Shanghai")


def entry(kind: EntryKind, own: int, fee: int = 0, **more: object) -> EntryFacts:
    """An entry that concerns one payee of a sale, unless told otherwise."""
    facts = {
        "kind": kind,
        "path_id": "sal_1",
        "currency": "CNY",
        "own": own,
        "fee": fee,
        "owners": ("u",),
        "nets": (own,),
        "earned_before": True,
    }
    return EntryFacts.model_validate(facts | more)


def test_a_sale_and_its_return_in_the_next_quarter() -> None:
    [first] = figures("u", [entry(EntryKind.RELEASE, 18_400, 1_600)])
    assert (first.goods, first.income, first.fees, first.net) == (20_000, 20_000, 1_600, 18_400)
    assert (first.transactions, first.refunds) == (1, 0)
    [second] = figures("u", [entry(EntryKind.RETURN, -9_200, -800)])
    assert (second.income, second.refunds, second.fees) == (0, 10_000, -800)
    assert (second.net, second.refund_count) == (-9_200, 1)


def test_commission_of_an_award_is_shared_by_what_each_got() -> None:
    owners = tuple(f"u{n}" for n in range(7))
    nets = (30_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000)
    shares = [
        fee_share(user, entry(EntryKind.RELEASE, net, 10_001, owners=owners, nets=nets))
        for user, net in zip(owners, nets, strict=True)
    ]
    assert sum(shares) == 10_001
    assert shares[0] == 3_334
    assert set(shares[1:]) <= {1_111, 1_112}


def test_what_is_no_income_does_not_count() -> None:
    kinds = (
        EntryKind.NETTING,
        EntryKind.FREEZE,
        EntryKind.UNFREEZE,
        EntryKind.REFUND_TO_BALANCE,
        EntryKind.CLAIM_PAID,
    )
    [found] = figures("u", [entry(kind, 500) for kind in kinds])
    assert (found.income, found.refunds, found.fees, found.transactions) == (0, 0, 0, 0)
    # A buyer whose bank took back what had been refunded already owes it, but never earned it.
    lost = entry(EntryKind.CHARGEBACK_LOST, -20_000, earned_before=False)
    [buyer] = figures("u", [lost])
    assert (buyer.refunds, buyer.refund_count) == (0, 0)


def test_payouts_fees_and_corrections() -> None:
    [found] = figures(
        "u",
        [
            entry(EntryKind.RELEASE, 9_000, 1_000, path_id="con_1"),
            entry(EntryKind.ARBITRATION, -300),
            entry(EntryKind.PAYOUT, -9_000, path_id=None),
            entry(EntryKind.PAYOUT_FAILED, 9_000, path_id=None),
            entry(EntryKind.PAYOUT, -8_700, path_id=None),
            entry(EntryKind.CORRECTION, 50, path_id=None),
            entry(EntryKind.CORRECTION, -70, path_id="con_1"),
        ],
    )
    assert (found.services, found.other, found.refunds) == (10_000, 50, 70)
    assert (found.fees, found.paid_out) == (1_300, 8_700)


def test_currencies_are_kept_apart() -> None:
    found = figures(
        "u",
        [entry(EntryKind.RELEASE, 5, currency="JPY"), entry(EntryKind.RELEASE, 7)],
    )
    assert [(each.currency, each.income) for each in found] == [("CNY", 7), ("JPY", 5)]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-31T15:59:59Z", (2026, 1)),
        ("2026-03-31T16:00:00Z", (2026, 2)),
        ("2026-12-31T16:00:00Z", (2027, 1)),
    ],
)
def test_quarters_change_at_midnight_in_shanghai(at: str, expected: tuple[int, int]) -> None:
    quarter = Quarter.of(datetime.fromisoformat(at), SHANGHAI)
    assert (quarter.year, quarter.number) == expected
    assert quarter.previous.next == quarter
    assert quarter.ends(SHANGHAI) == quarter.next.begins(SHANGHAI)


def test_quarters_are_written_down_a_month_after_their_end() -> None:
    def due(at: str) -> list[tuple[int, int]]:
        now = datetime.fromisoformat(at).astimezone(UTC)
        return [(each.year, each.number) for each in due_quarters(now, SHANGHAI, 30)]

    assert due("2026-07-30T23:00:00+08:00")[-1] == (2026, 1)
    assert due("2026-07-31T00:00:00+08:00") == [(2025, 3), (2025, 4), (2026, 1), (2026, 2)]


def test_a_seal_opens_only_with_its_key_and_in_its_place() -> None:
    key = SecretStr("one")
    sealed = seal(key, "91330106MA2KF00000", "usr_1/tax_number")
    assert b"9133" not in sealed
    assert seal(key, "91330106MA2KF00000", "usr_1/tax_number") != sealed
    assert unseal(key, sealed, "usr_1/tax_number") == "91330106MA2KF00000"
    for wrong, about in ((SecretStr("two"), "usr_1/tax_number"), (key, "usr_2/tax_number")):
        with pytest.raises(CannotUnseal):
            unseal(wrong, sealed, about)
