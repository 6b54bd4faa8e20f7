"""`make demo`: plays every path on the running platform, or those that are named, as several people with a front end each.

Prints each path's story and the closing ledger, and exits non-zero when an account of an ended path is not 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import httpx
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from deploy.local.errors import FAILED, USAGE, LocalError, settings_line
from deploy.local.stories import campaign, contest, production, sale, tender, unhappy
from deploy.local.stories.stage import ShownAccount, ShownEvent, ShownTotal, Stage
from runtime.settings import Settings

STORIES = {
    "sale": sale.STORIES,
    "contest": contest.STORIES,
    "tender": tender.STORIES,
    "campaign": campaign.STORIES,
    "production": production.STORIES,
    "unhappy": unhappy.STORIES,
}
"""By path."""
_OPERATOR = "admin"


def play(settings: Settings, console: Console, paths: Sequence[str]) -> None:
    """Plays the stories of these paths and shows the books. Raises LocalError when something is not as it must be."""
    _require_running(settings)
    stories = [story for path in paths for story in STORIES[path]]
    stage = Stage(settings, say=lambda words: console.print(f"  · {words}", highlight=False))
    for number, (title, story) in enumerate(stories, start=1):
        console.rule(f"[bold]{number}/{len(stories)}  {title}", align="left")
        story(stage)
    for title, path_id in stage.ended:
        _show_timeline(stage, console, title, path_id)
    open_accounts = [line for _, path_id in stage.ended for line in _not_zero(stage, path_id)]
    _show_ledger(stage, console)
    if open_accounts:
        raise LocalError("not 0 although the path has ended: " + "; ".join(open_accounts))
    console.print(
        f"[green]{len(stage.ended)} paths ended, every account of theirs stands at 0.[/green]"
    )
    console.print(f"See them in the Temporal UI: {_ui(settings)}")


def _require_running(settings: Settings) -> None:
    try:
        httpx.get(f"{settings.api_url}/readyz", timeout=5).raise_for_status()
    except httpx.HTTPError as down:
        raise LocalError(
            f"the platform does not answer at {settings.api_url} ({type(down).__name__}): "
            "run `make up` in another terminal first"
        ) from down


def _show_timeline(stage: Stage, console: Console, title: str, path_id: str) -> None:
    events = stage.person(_OPERATOR).get_list(f"/v1/paths/{path_id}/timeline", ShownEvent)
    table = Table(title=f"{title} ({path_id})", title_justify="left")
    for column in ("at (UTC)", "who", "what", "phase"):
        table.add_column(column, overflow="fold")
    for event in events:
        table.add_row(event.at[11:19], event.actor, event.summary, event.phase)
    console.print(table)


def _not_zero(stage: Stage, path_id: str) -> list[str]:
    """The accounts of an ended path that hold something, in words."""
    accounts = stage.person(_OPERATOR).get_list(f"/v1/paths/{path_id}/balances", ShownAccount)
    return [
        f"{line.account} {line.balance.text}"
        for line in accounts
        if line.balance.amount or line.pending_in.amount or line.pending_out.amount
    ]


def _show_ledger(stage: Stage, console: Console) -> None:
    totals = stage.person(_OPERATOR).get_list("/v1/ledger/trial-balance", ShownTotal)
    table = Table(title="The closing ledger, all paths since the first start")
    for column in ("account", "how many", "debits", "credits", "balance"):
        table.add_column(column, justify="left" if column == "account" else "right")
    for line in totals:
        texts = (line.debits.text, line.credits.text, line.balance.text)
        table.add_row(line.kind, str(line.accounts), *texts)
    console.print(table)


def _ui(settings: Settings) -> str:
    return settings.temporal_ui_url or f"http://{settings.host}:{settings.temporal_ui_port}"


def main() -> int:
    """The command; its exit code."""
    try:
        settings = Settings()
    except ValidationError as wrong:
        print(f"baigong: {settings_line(wrong)}", file=sys.stderr)
        return USAGE
    paths = sys.argv[1:] or list(STORIES)
    unknown = [each for each in paths if each not in STORIES]
    if unknown:
        print(
            f"baigong: there is no path {unknown[0]}; there are {', '.join(STORIES)}",
            file=sys.stderr,
        )
        return USAGE
    try:
        play(settings, Console(), paths)
    except (LocalError, httpx.HTTPError, ValidationError) as failed:
        print(f"baigong: {failed}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
