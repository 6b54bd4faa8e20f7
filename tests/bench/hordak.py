"""django-hordak, a double-entry ledger for Django, with its own triggers: `python -m tests.bench.hordak`.

A Django project in a process of its own, because Django's settings are global. Each entry is a transaction with two legs,
made the way its documentation shows. It keeps no balances and no idempotency keys, so it has less to write.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import psycopg

from deploy.local.postgres import PostgresServer

_DATABASE = "hordak"
_CURRENCY = "CNY"


def prepare(server: PostgresServer, pairs: int) -> str:
    """Makes its database on the server, and accounts; the database's URL."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_DATABASE}".encode())
    url = server.url_of(_DATABASE)
    _run("prepare", url, pairs)
    return url


def rate(url: str, connections: int, seconds: int) -> float:
    """Entries per second of as many threads as connections."""
    return float(_run("write", url, connections, seconds))


def _run(*arguments: str | int) -> str:
    command = [sys.executable, "-m", "tests.bench.hordak", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout.strip()


def _configure(url: str) -> None:
    import django  # type: ignore[import-untyped]
    from django.conf import settings  # type: ignore[import-untyped]

    parts = urlsplit(url)
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "mptt", "djmoney", "hordak"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": parts.hostname,
                "PORT": parts.port,
                "USER": parts.username,
                "PASSWORD": parts.password,
                "NAME": parts.path.removeprefix("/"),
                "CONN_MAX_AGE": None,
            }
        },
        CURRENCIES=[_CURRENCY],
        DEFAULT_CURRENCY=_CURRENCY,
        USE_TZ=True,
    )
    django.setup()


def _prepare(pairs: int) -> None:
    from django.core.management import call_command  # type: ignore[import-untyped]
    from hordak.models import Account, AccountType  # type: ignore[import-untyped]

    call_command("migrate", verbosity=0)
    for number in range(2 * pairs):
        Account.objects.create(
            name=f"account {number}", type=AccountType.asset, currencies=[_CURRENCY]
        )


def _write(connections: int, seconds: float) -> float:
    from django.db import connection, transaction  # type: ignore[import-untyped]
    from hordak.models import Account
    from moneyed import Money

    accounts = list(Account.objects.order_by("id"))
    amount = Money(1, _CURRENCY)
    written = [0] * connections
    ready = threading.Barrier(connections + 1)

    def work(number: int) -> None:
        connection.ensure_connection()
        ready.wait()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            pair = 2 * random.randrange(len(accounts) // 2)
            with transaction.atomic():
                accounts[pair].transfer_to(accounts[pair + 1], amount)
            written[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for each in threads:
        each.start()
    ready.wait()
    began = time.monotonic()
    for each in threads:
        each.join()
    return sum(written) / (time.monotonic() - began)


if __name__ == "__main__":
    what, address, *numbers = sys.argv[1:]
    _configure(address)
    if what == "prepare":
        _prepare(int(numbers[0]))
    else:
        print(_write(int(numbers[0]), float(numbers[1])))
