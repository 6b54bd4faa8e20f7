"""How long activities may take and how they are tried again. Stories choose by meaning, never by number."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class Options(TypedDict):
    """The part of an activity call that has to do with time."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class Watched(Options):
    """The same for long work that tells how far it is."""

    heartbeat_timeout: timedelta


MONEY: Options = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)
    ),
}
"""One transaction on our own database. Tried until it is done: refusals are not retryable by their type."""

UPKEEP: Options = {
    "start_to_close_timeout": timedelta(minutes=5),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
    ),
}
"""A batch of recurring work, many short transactions."""

COUNT: Watched = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=60),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)
    ),
}
"""One pass over all rows of something large, and the transaction that records what it found."""

PLEDGES: Watched = {
    "start_to_close_timeout": timedelta(minutes=15),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=60)
    ),
}
"""A few minutes' work on the pledges of a campaign, page by page."""

INTAKE: Watched = {
    "start_to_close_timeout": timedelta(minutes=15),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=5)
    ),
}
"""Work that is never to rest for long: a worker that dies or stops is replaced within seconds."""

NOTE: Options = {
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)
    ),
}
"""A row that records a status and moves no money, as a local activity: the cheapest step of stories of which there are many."""

STATUS: Options = {
    "start_to_close_timeout": timedelta(seconds=3),
    "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=2),
}
"""One transaction that moves no money, as a local activity; twice within a workflow task, then as a normal activity."""

PREVIEW: Options = {
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(maximum_attempts=2),
}
"""A question somebody waits for: answered soon, or asked again by them."""

PROVIDER: Options = {
    "start_to_close_timeout": timedelta(seconds=60),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        maximum_interval=timedelta(seconds=60),
        maximum_attempts=8,
    ),
}
"""A call to a payment company and the transaction that records its answer.

Given up after about two minutes: the story then asks anew, with the time of day, since deadlines count from it.
"""

PRESENT: Options = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        maximum_interval=timedelta(seconds=15),
        maximum_attempts=20,
    ),
}
"""Asking a payment company for a page to pay: given up after about five minutes, and the order with it."""

CATCH_UP = timedelta(seconds=20)
"""How long an act waits for news that the books have and its story does not have yet."""
