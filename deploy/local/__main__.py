"""`python -m deploy.local`: the local platform's command line."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import backup as backups
from deploy.local.checks import locked_data_folder, running_pid
from deploy.local.console import screen
from deploy.local.errors import LocalError, PartFailed
from deploy.local.issuer import issue_token
from deploy.local.parts import local_parts
from deploy.local.profile import local_profile, local_settings
from deploy.local.supervisor import up as run_platform

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def up() -> None:
    """Run the whole platform in the foreground until Ctrl-C."""
    _in_one_line(lambda: asyncio.run(run_platform(local_profile(), screen())))


@app.command()
def token(name: Annotated[str, typer.Argument(help="Demo user, such as alice or admin.")]) -> None:
    """Print a token for a demo user; the platform need not run."""
    _in_one_line(lambda: print(issue_token(name, local_settings())))


@app.command()
def status() -> None:
    """Show which parts answer; exit code 0 when all do."""
    _in_one_line(lambda: asyncio.run(_status()))


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything the local platform has stored; it must be stopped."""
    _in_one_line(lambda: _reset(yes))


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="The file to write.")]) -> None:
    """Copy everything the local platform has stored into one file; it must be stopped."""
    _in_one_line(lambda: backups.backup(backups.embedded_postgres(local_profile()), file))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="What `backup` has written.")]) -> None:
    """Put a backup back where nothing is stored."""
    _in_one_line(lambda: backups.restore(backups.embedded_postgres(local_profile()), file))


async def _status() -> None:
    profile = local_profile()
    data_dir = profile.settings.data_dir
    pid = running_pid(data_dir)
    # Without a running platform whoever answers at these addresses is somebody else.
    parts = [part for part in local_parts(profile) if part.ready is not None]
    answers = [False] * len(parts)
    if pid is not None:
        answers = list(await asyncio.gather(*(part.ready() for part in parts if part.ready)))
    table = Table("part", "state")
    for part, answered in zip(parts, answers, strict=True):
        table.add_row(part.title, "ready" if answered else "not running")
    console = Console()
    console.print(f"{data_dir}: " + (f"running (pid {pid})" if pid else "not running"))
    console.print(table)
    if not all(answers):
        raise typer.Exit(1)


def _reset(yes: bool) -> None:
    profile = local_profile()
    data_dir = profile.settings.data_dir
    if not data_dir.exists():
        return
    if not yes and not typer.confirm(f"Delete every sale, balance and log in {data_dir}?"):
        raise typer.Exit(1)
    with locked_data_folder(data_dir):
        if profile.postgres is not None:
            profile.postgres.stop_leftover()
            profile.postgres.remove()
        shutil.rmtree(data_dir)


def _in_one_line(work: Callable[[], None]) -> None:
    """Run `work`; what the person can do something about ends in one line on stderr."""
    try:
        work()
    except LocalError as error:
        if isinstance(error, PartFailed) and error.tail:
            print(error.tail, file=sys.stderr)
        print(f"baigong: {error}", file=sys.stderr, flush=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    app()
