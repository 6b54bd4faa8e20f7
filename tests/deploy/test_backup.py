"""The restore drill: a platform with sales under way is copied, lost and put back, and everything goes on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from deploy.local.backup import backup, embedded_postgres, restore
from deploy.local.errors import LocalError
from deploy.local.postgres import PostgresServer
from deploy.local.profile import local_profile
from deploy.local.temporal import TemporalServer
from domain.sale import Phase
from ledger import invariants
from tests.api.issuer import Issuer, running_issuer
from tests.servers import free_port, migrate, register_search_attributes
from tests.stories.deals import Deal, funded, released
from tests.stories.house import House, running_house
from workflows.sale import Sale

_TEMPORAL = "temporal.db"


def server(data_dir: Path) -> PostgresServer:
    return PostgresServer(data_dir, free_port(), durable=False)


@asynccontextmanager
async def platform(
    postgres: PostgresServer, issuer: Issuer, **more: object
) -> AsyncIterator[House]:
    """A platform whose database, Temporal store, provider's books and files all lie in one data folder."""
    data_dir = postgres.data_dir
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)
    temporal = TemporalServer(
        free_port(), log=data_dir / "logs" / "temporal.log", database=data_dir / _TEMPORAL
    )
    postgres.start()
    try:
        migrate(postgres.url)
        await temporal.start()
        house = running_house(
            temporal.address, postgres.url, issuer, data_dir, temporal_task_queue="drill", **more
        )
        async with house as running:
            yield running
    finally:
        temporal.stop()
        postgres.stop()


async def test_a_lost_platform_goes_on_from_its_backup(tmp_path: Path) -> None:
    first, second = server(tmp_path / "first"), server(tmp_path / "second")
    file, older = tmp_path / "baigong.tar.gz", tmp_path / "older.db"
    try:
        with running_issuer() as issuer:
            async with platform(first, issuer) as before:
                await register_search_attributes(before.temporal)
                unpaid, accepted, behind = [await Deal.placed(before) for _ in range(3)]
                for deal in (accepted, behind):
                    await deal.pay()
                    await deal.until("paid")
                await accepted.accept()
                copy_while_it_runs(first.data_dir / _TEMPORAL, older)
                await behind.accept()
            backup(first, file)
            first.remove()
            shutil.rmtree(first.data_dir)
            assert file.stat().st_mode & 0o077 == 0, "it holds every secret"

            restore(second, file)
            with pytest.raises(LocalError, match="already"):
                restore(second, file)
            for left in second.data_dir.glob(f"{_TEMPORAL}*"):
                left.unlink()
            shutil.copy(older, second.data_dir / _TEMPORAL)
            async with platform(second, issuer) as after:
                async with after.database.transaction() as session:
                    assert await invariants.check(session) == []
                for deal in (unpaid, accepted, behind):
                    deal.house = after
                page = httpx.URL(unpaid.sale["payment"]["checkout_url"]).path
                unpaid.sale["payment"]["checkout_url"] = page
                await unpaid.pay()
                await unpaid.accept()
                await knows_less_than_the_books(after, behind)
                for deal in (unpaid, accepted, behind):
                    await goes_on_to_its_end(after, deal)
    finally:
        for each in (first, second):
            each.stop()
            each.remove()


def copy_while_it_runs(database: Path, to: Path) -> None:
    """Temporal's store as it stands now, older than everything else that is copied later."""
    with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(to)) as copy:
        live.backup(copy)


async def knows_less_than_the_books(house: House, deal: Deal) -> None:
    """The books know that the seller has accepted, the older story does not; its next step will see it."""
    story = house.workflow(house.story_of(deal.sale))
    assert (await story.query(Sale.standing)).phase is Phase.PAID
    events = house.sql("SELECT kind FROM events WHERE path_id = %s", deal.sale["id"])
    assert [kind for (kind,) in events].count("accepted") == 1


async def goes_on_to_its_end(house: House, deal: Deal) -> None:
    """Shipped, delivered, confirmed; every posting once."""
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == funded(20_000) + released(18_400, 1_600)
    await house.assert_at_zero(deal.sale)


def test_what_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    postgres = server(tmp_path / "data")
    with pytest.raises(LocalError, match="nothing is stored"):
        backup(postgres, tmp_path / "a.tar.gz")
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(b"no archive")
    with pytest.raises(LocalError, match="cannot be read"):
        restore(postgres, wrong)
    shutil.make_archive(str(tmp_path / "other"), "gztar", tmp_path, "data")
    with pytest.raises(LocalError, match="is no backup"):
        restore(postgres, tmp_path / "other.tar.gz")
    assert not postgres.placement.cluster.exists()
    assert {each.name for each in postgres.data_dir.iterdir()} == {"lock", "logs"}


def test_servers_of_ones_own_are_copied_where_they_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BAIGONG_DATA_DIR", str(tmp_path))
    assert embedded_postgres(local_profile()).data_dir == tmp_path
    monkeypatch.setenv("BAIGONG_TEMPORAL_ADDRESS", "127.0.0.1:1")
    with pytest.raises(LocalError, match=r"docs/backup\.md"):
        embedded_postgres(local_profile())
