"""Recorded histories run through today's code: paths that are under way must survive a new version of the platform."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence

import pytest
from temporalio.client import WorkflowHistory

from runtime.settings import Settings
from tests.replay.commands import HISTORIES, commands_file, every_text, history, recorded, replay
from worker.build import WORKFLOWS

TEACH = """
The workflow code does something else than it did when the history `{name}` was recorded:

{difference}

Paths like this one are under way on running platforms, with exactly these events behind them. Temporal runs your
code against those events again; where it wants another activity, timer, child or update answer than the history
holds, the path stops with a non-determinism error until somebody repairs it.

If running paths must go on (the rule), keep the old way for them and take the new one only from now on:

    if workflow.patched("what-changed-in-three-words"):
        ...  # the new way: for workflows that come to this line after the release
    else:
        ...  # the old way, unchanged: for histories that were here before

Then leave the recorded histories alone: this test passes again, and proves that old paths survive. Add a history of the
new way with `python -m tests.replay.record`, under a new name. When no path of the old way runs any more, replace
`workflow.patched` by `workflow.deprecate_patch`, one release later remove it, and record again.

Only if no platform has ever run the old code may you record the histories again: `python -m tests.replay.record`.

{failure}
"""

CASES = {
    "sale_happy",
    "sale_declined",
    "sale_expired",
    "sale_revived",
    "sale_parcel_lost",
    "payment_captured",
    "payment_polled",
    "payment_expired",
    "payment_late",
    "payment_settled_later",
    "refund_succeeded",
    "refund_refused",
    "payout_paid",
    "payout_failed",
    "payout_held",
    "payout_cancelled",
    "payout_reviewed",
    "contest_awarded",
    "contest_reopened",
    "contest_voted",
    "contest_refunded",
    "contest_charged_back",
    "ballot_child",
    "chargeback_lost",
    "chargeback_answered",
    "tender_done",
    "production_completed",
    "lot_settled",
    "lot_abandoned",
    "inspection_decided",
    "inspection_lapsed",
    "match_call_settled",
    "in_kind_claimed",
    "return_offered",
    "return_exchanged",
    "return_disputed",
    "dispute_appealed",
    "dispute_offered",
    "account_frozen",
    "payee_looked_at",
    "command_executed",
    "command_bulk",
    "bulk_done",
    "campaign_stopped",
    "campaign_failed",
    "pledge_mended",
    "pledge_dropped",
    "pledge_run_collect",
    "pledge_intake",
    "order_paid",
    "sale_of_an_order",
    "sale_not_accepted",
    "sale_not_shipped",
    "sale_confirmed_by_silence",
    "tender_turned_down",
    "tender_ruled",
    "contest_winner_silent",
    "lot_withdrawn",
    "lot_kit_not_sent",
    "return_withdrawn",
    "return_not_sent",
    "dispute_conceded",
}


def test_every_story_is_recorded() -> None:
    assert set(recorded()) == CASES


async def lesson(
    name: str, past: WorkflowHistory, workflows: Sequence[type] = WORKFLOWS
) -> str | None:
    """What to do when today's code, or another version, does not do what the history holds; None when it does."""
    lines, failure = await replay(past, workflows)
    expected = commands_file(name).read_text().splitlines()
    difference = "\n".join(difflib.unified_diff(expected, lines, "recorded", "today", lineterm=""))
    if failure is None and not difference:
        return None
    return TEACH.format(name=name, difference=difference or "(see below)", failure=failure or "")


@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_recorded_history_replays_with_the_same_commands(name: str) -> None:
    what_to_do = await lesson(name, history(name))
    if what_to_do is not None:
        pytest.fail(what_to_do, pytrace=False)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_recorded_history_says_nothing_about_the_machine(name: str) -> None:
    path = HISTORIES / f"{name}.json"
    assert path.stat().st_size < 200_000
    settings = Settings()
    secrets = [
        settings.sandbox_api_key.get_secret_value(),
        settings.sandbox_webhook_secret.get_secret_value(),
        *(each.get_secret_value() for each in settings.carrier_webhook_secrets.values()),
    ]
    for text in every_text(json.loads(path.read_text())):
        for host in re.findall(r"\w+://([^/:\s\"]+)", text):
            assert host == "127.0.0.1", text
        assert not re.search(r"(^|[\s\"'(=])/(home|root|work|tmp|usr|Users|private|var)/", text), (
            text
        )
        assert not re.search(r"\d+@\w", text), f"looks like a process of a machine: {text}"
        assert not any(secret in text for secret in secrets), text
        assert "Bearer " not in text


async def test_a_change_of_the_commands_is_explained_in_words() -> None:
    """A payout recorded when its first activity had another name."""
    text = (HISTORIES / "payout_paid.json").read_text()
    past = WorkflowHistory.from_json("payout_paid", text.replace("reserve_payout", "take_payout"))
    what_to_do = await lesson("payout_paid", past)
    assert what_to_do is not None
    for word in ("workflow.patched", "tests.replay.record", "reserve_payout", "take_payout"):
        assert word in what_to_do
