"""What the stories of lots share: what each kind of flow posts, and how an inspector decides."""

from __future__ import annotations

from domain.lot import Fault
from tests.stories import looks
from tests.stories.jobs import lines, paid_in, sent_back
from tests.stories.workshop import DEPOSIT, RATE, Lot, earned


def deposited(units: int) -> list[str]:
    """What the payment of the deposit posts."""
    return paid_in("deposit:maker", units * DEPOSIT)


def deposit_back(units: int) -> list[str]:
    """The deposit of so many units is the maker's to take out."""
    return _released("deposit:maker", "payable:maker", units * DEPOSIT)


def deposit_kept(units: int) -> list[str]:
    """The deposit of so many units pays the requester for materials that are gone."""
    return _released("deposit:maker", "payable:requester", units * DEPOSIT)


def deposit_refunded(units: int) -> list[str]:
    """The deposit of so many units goes back the way it came."""
    return sent_back("deposit:maker", units * DEPOSIT)


def wages(units: int) -> list[str]:
    """The wages of so many units, and what of the commission feeds the protection fund."""
    fee = (units * RATE * 500 + 5_000) // 10_000
    share = (fee * 2_000 + 5_000) // 10_000
    return [
        *earned(units * RATE),
        *lines(
            ("protect", "debit fee:platform", share),
            ("protect", "credit protection_fund:platform", share),
        ),
    ]


def free_of_fee(amount: int, who: str = "maker") -> list[str]:
    """Freight, a sample's fee or an inspector's."""
    return earned(amount, fee=0, who=who)


def _released(source: str, target: str, amount: int) -> list[str]:
    return lines(("release", f"debit {source}", amount), ("release", f"credit {target}", amount))


def inspection_of(lot: Lot) -> str:
    """Id of the workflow of the lot's newest inspection."""
    rows = lot.house.sql("SELECT inspection_id FROM lots WHERE id = %s", lot.id)
    return f"inspection-{rows[0][0]}"


async def decided(
    lot: Lot,
    accepted: int,
    *,
    rework: int = 0,
    rejected: int = 0,
    fault: Fault = Fault.MAKER,
    by: str | None = None,
) -> None:
    """The inspector looks at the units and decides, and the lot has taken note."""
    inspection = await looks.looked(lot, rework + rejected, by)
    counts = {"accepted": accepted, "rework": rework, "rejected": rejected}
    await looks.concluded(lot, inspection, by, **counts, fault=fault)


async def nobody_inspects(lot: Lot, seconds: int) -> None:
    """The time of the inspection passes without a decision."""
    await lot.until("inspecting")
    await lot.house.skipper.fast_forward(lot.house.workflow(inspection_of(lot)), seconds)
