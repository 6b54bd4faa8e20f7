"""Every router of the API, in the order of the documentation."""

from __future__ import annotations

from api import (
    balances,
    destinations,
    files,
    health,
    listings,
    paths,
    payments,
    payouts,
    sales,
    users,
    webhooks,
)

ROUTERS = (
    users.router,
    files.router,
    listings.router,
    sales.router,
    payments.router,
    payouts.router,
    paths.router,
    balances.router,
    destinations.router,
    webhooks.router,
    health.router,
)
