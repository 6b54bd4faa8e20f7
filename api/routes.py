"""Every router of the API, in the order of the documentation."""

from __future__ import annotations

from api import (
    accounts,
    balances,
    ballots,
    contests,
    destinations,
    entries,
    files,
    hand_overs,
    health,
    listings,
    objections,
    paths,
    payments,
    payouts,
    sales,
    users,
    votes,
    webhooks,
)

ROUTERS = (
    users.router,
    accounts.router,
    files.router,
    listings.router,
    sales.router,
    contests.router,
    entries.router,
    hand_overs.router,
    objections.router,
    ballots.router,
    votes.router,
    payments.router,
    payouts.router,
    paths.router,
    balances.router,
    destinations.router,
    webhooks.router,
    health.router,
)
