"""Whether the books still say what the published proofs say: `python -m ledger.proofs`."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import text

from db import path_proofs
from db.engine import Database
from domain.errors import Unavailable
from runtime.settings import settings


async def check_url(url: str) -> list[str]:
    """What differs, as `path: what`, on one snapshot of the database at `postgresql://…`. Raises Unavailable."""
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as session:
            await session.execute(
                text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            )
            return [each async for each in path_proofs.differences(session)]
    finally:
        await database.aclose()


def main() -> int:
    """Checks the database of BAIGONG_DATABASE_URL: 0 when all proofs hold, 1 when one does not, 2 when it cannot be checked."""
    url = settings().database_url
    if url is None:
        print("BAIGONG_DATABASE_URL is not set: nothing to check", file=sys.stderr)
        return 2
    try:
        found = asyncio.run(check_url(url.get_secret_value()))
    except Unavailable as unavailable:
        print(f"not checked: {unavailable.detail}", file=sys.stderr)
        return 2
    for each in found:
        print(each)
    print("all proofs hold" if not found else f"{len(found)} proofs do not hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
