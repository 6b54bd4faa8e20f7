"""The macros of campaigns and match calls: budgets that are used, and what the creator of a stopped campaign owes."""

from __future__ import annotations

from domain import accounts
from domain.postings import EntryKind, JournalEntry, Share, entry


def claim(key: str, path_id: str, user_id: str, amount: int, currency: str) -> JournalEntry:
    """What a stopped campaign's creator owes its backers: Dr receivable:u/Cr claim:path. Later income pays it first."""
    return entry(
        EntryKind.CLAIM,
        key,
        currency,
        [Share(account=accounts.receivable(user_id), amount=amount)],
        [Share(account=accounts.claim(path_id), amount=amount)],
        path_id=path_id,
    )


def match_used(
    key: str, call_id: str, campaign_id: str, amount: int, currency: str
) -> JournalEntry:
    """A campaign has succeeded: Dr match:call/Cr escrow:campaign. An entry of the campaign; the call's statement shows it too."""
    return entry(
        EntryKind.MATCH_USED,
        key,
        currency,
        [Share(account=accounts.match(call_id), amount=amount)],
        [Share(account=accounts.escrow(campaign_id), amount=amount)],
        path_id=campaign_id,
    )


def match_returned(
    key: str, call_id: str, campaign_id: str, amount: int, currency: str
) -> JournalEntry:
    """The campaign was stopped after all: Dr escrow:campaign/Cr match:call."""
    return entry(
        EntryKind.MATCH_RETURNED,
        key,
        currency,
        [Share(account=accounts.escrow(campaign_id), amount=amount)],
        [Share(account=accounts.match(call_id), amount=amount)],
        path_id=campaign_id,
    )
