"""How long activities may take and how they are tried again. Stories choose by meaning, never by number."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class Options(TypedDict):
    """The part of an activity call that has to do with time."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


MONEY: Options = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)
    ),
}
"""One transaction on our own database. Tried until it is done: refusals are not retryable by their type."""

FIRST: Options = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=10),
        maximum_attempts=60,
    ),
}
"""The first step of a path, which may get bad input: given up after about ten minutes, before any money came."""

PROVIDER: Options = {
    "start_to_close_timeout": timedelta(seconds=60),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(minutes=5)
    ),
}
"""A call to a payment company and the transaction that records its answer."""

PRESENT: Options = {
    "start_to_close_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        maximum_interval=timedelta(seconds=15),
        maximum_attempts=20,
    ),
}
"""Asking a payment company for a page to pay: given up after about five minutes, and the order with it."""
