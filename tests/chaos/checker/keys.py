"""One key, one effect; and every webhook is answered for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.chaos.checker.books import Books, Theirs
from tests.chaos.checker.found import Difference


def check_keys(books: Books, theirs: Theirs) -> list[Difference]:
    """Keys with two effects, effects without a key, and webhooks that nobody has seen to."""
    return [
        *_twice("entry key twice", (each.key for each in books.entries)),
        *_twice("transition twice", (each.key for each in books.events)),
        *_twice("payment asked for twice", (each.operation_id for each in theirs.payments)),
        *_twice("refund asked for twice", (each.operation_id for each in theirs.refunds)),
        *_twice("payout asked for twice", (each.operation_id for each in theirs.payouts)),
        *_twice("webhook taken twice", (f"{each.source} {each.event_id}" for each in books.news)),
        *_requests(books),
        *_webhooks(books, theirs),
    ]


def _twice(check: str, keys: Iterable[str]) -> Iterator[Difference]:
    for key, times in Counter(keys).items():
        if times > 1:
            yield Difference(check, key, f"{times} times")


def _requests(books: Books) -> Iterator[Difference]:
    yield from _twice("request key twice", (f"{each.user_id} {each.key}" for each in books.keys))
    yield from _twice("made by two keys", (each.resource_id for each in books.keys))
    asked = {each.resource_id for each in books.keys}
    for made in books.made:
        if made not in asked:
            yield Difference("made without a key", made, "no request asked for it")


def _webhooks(books: Books, theirs: Theirs) -> Iterator[Difference]:
    for each in books.news:
        if each.status == "received":
            yield Difference(
                "webhook not seen to", each.event_id, f"{each.kind} of {each.subject} waits"
            )
        if each.status == "rejected":
            yield Difference("webhook rejected", each.event_id, each.kind)
    taken = {each.event_id for each in books.news}
    sent = {each.event_id for each in theirs.deliveries}
    for delivery in theirs.deliveries:
        if delivery.state == "delivered" and delivery.event_id not in taken:
            yield Difference(
                "webhook lost", delivery.event_id, f"of {delivery.subject}: answered, but not kept"
            )
    for event_id in taken - sent:
        yield Difference("webhook forged", event_id, "the provider never sent it")
