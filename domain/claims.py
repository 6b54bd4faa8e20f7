"""What the creator of a stopped campaign owes its backers: which income has paid it, and how much of that is shared now.

A user owes the platform one sum per currency (`receivable`), whatever it is made of, and income pays it without saying
for what. Here it is said: the oldest debt first, whoever it is owed to. So what has come in for a campaign only ever
grows, and depends on the journal alone, never on when somebody looks. Minor units.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from domain import accounts, postings
from domain.cases import RefundCase
from domain.model import Message
from domain.money import Currency
from domain.postings import EntryKind, JournalEntry, Share


class Debt(Message):
    """Something that a user came to owe, as the journal has it."""

    campaign_id: str | None = None
    """The stopped campaign whose backers it is owed to; None for the platform."""
    amount: int = Field(gt=0)


class Claim(Message):
    """What stands of a stopped campaign's claim on its creator."""

    balance: int = Field(ge=0)
    """What its backers have not got yet, whether or not it has come in."""
    come_in: int = Field(ge=0)
    """What its creator has paid of it since."""
    passed_on: int = Field(ge=0)
    """What its backers and match calls have got of that."""

    @property
    def waiting(self) -> int:
        """What has come in and is still to be passed on. Banks that took pledges back have been paid out of the claim."""
        return max(0, min(self.balance, self.come_in - self.passed_on))


def paid_off(debts: Sequence[Debt], paid: int) -> list[int]:
    """How much of each debt, oldest first, has been paid when so much was paid of all of them."""
    found = []
    for each in debts:
        part = min(each.amount, max(0, paid))
        found.append(part)
        paid -= part
    return found


def come_in(debts: Sequence[Debt], paid: int, campaign_id: str) -> int:
    """How much of what is owed to one campaign's backers has been paid; `debts` oldest first."""
    parts = zip(debts, paid_off(debts, paid), strict=True)
    return sum(part for each, part in parts if each.campaign_id == campaign_id)


def to_share(waiting: int, short: int, *, least: int, for_long: bool) -> int:
    """What of `waiting` is shared now among backers and match calls that are `short` of so much together.

    Less than `least` waits for more, unless nobody is short of anything after it, or it has waited `for_long`.
    """
    amount = min(waiting, short)
    return amount if for_long or amount >= min(least, short) else 0


class News(Message):
    """What others have to hear of a round."""

    refunds: tuple[RefundCase, ...] = ()
    """What goes on to the sponsors of match calls that have ended: a story each sends it."""
    match_calls: tuple[str, ...] = ()
    """Workflows of the match calls that have got something back."""


class PassedOn(Message):
    """What one pass over all claims has done."""

    pledges: int = 0
    """How many have got something."""
    left: bool = False
    """Whether there was more to do than time."""


def claim_paid(
    key: str, campaign_id: str, shares: Sequence[Share], currency: Currency
) -> JournalEntry:
    """What has come in for a stopped campaign is passed on: Dr claim:path/Cr payable of backers, or escrow for match calls."""
    return postings.entry(
        EntryKind.CLAIM_PAID,
        key,
        currency,
        [Share(account=accounts.claim(campaign_id), amount=sum(each.amount for each in shares))],
        shares,
        path_id=campaign_id,
    )
