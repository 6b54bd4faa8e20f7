"""What an account may do with money: each can be taken away alone, all of them when it is frozen."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """One kind of thing an account may do. Looking is always allowed, and what runs goes on."""

    BID = "bid"
    """Bid, enter contests, claim lots, ask for help."""
    PLEDGE = "pledge"
    """Pledge, buy, pay deposits."""
    SELL = "sell"
    """Offer things and start paths that ask others for money."""
    WITHDRAW = "withdraw"
    """Have balance paid out."""
