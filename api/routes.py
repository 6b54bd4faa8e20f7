"""Every router of the API, in the order of the documentation."""

from __future__ import annotations

from api import balances, destinations, files, health, listings, paths, users

ROUTERS = (
    users.router,
    files.router,
    listings.router,
    paths.router,
    balances.router,
    destinations.router,
    health.router,
)
