"""What the documentation says is there: links, endpoints, settings, state machines; and each of them is told of."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

import domain
from api.app import create_app
from deploy import docs
from deploy.local.profile import PROJECT
from runtime.settings import Settings

PAGES = [
    PROJECT / "README.md",
    PROJECT / "SECURITY.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"\]\((?!https?://)([^)\s]*)\)")
_ENDPOINT = re.compile(
    r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:v1/|healthz|readyz|problems)[^\s`'\"?)…,;:]*)"
)
_SETTING = re.compile(r"\bBAIGONG_([A-Z][A-Z0-9_]*[A-Z0-9])\b")
_ARROW = re.compile(r"^    (\w+) --> (\w+)(?:: \w+)?$", re.MULTILINE)
_OF_TESTS = {"TEST_PLEDGES"}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_docs_are_up_to_date(name: str) -> None:
    page = (docs.DOCS / name).read_text(encoding="utf-8")
    assert page == docs.page(name, page), "run python -m deploy.docs"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in _LINK.findall(page.read_text("utf-8")) if not _leads(page, link)]
    assert broken == []


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.fixture(scope="module")
def operations() -> set[tuple[str, str]]:
    """Method and address of everything the API answers, path parameters as `{}`."""
    paths = create_app(Settings(database_url=SecretStr("postgresql://x:y@127.0.0.1:1/z"))).openapi()
    return {
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for path, methods in paths["paths"].items()
        for method in methods
    }


@every_page
def test_endpoints_exist(page: Path, operations: set[tuple[str, str]]) -> None:
    unknown = [
        f"{method} {path}"
        for method, path in _ENDPOINT.findall(page.read_text("utf-8"))
        if not _known(method, path.rstrip("./"), operations)
    ]
    assert unknown == []


def _known(method: str, path: str, operations: set[tuple[str, str]]) -> bool:
    """A part in braces, a variable of a shell and a number stand for any id."""
    plain = re.sub(r"\{[^}]*\}|\$\w+|(?<=/)\d+(?=/|$)", "{}", path)
    return (method, plain) in operations


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}".upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{prefix}{name}__")


@every_page
def test_settings_exist(page: Path) -> None:
    known = {*_settings(Settings), *_OF_TESTS}
    named = set(_SETTING.findall(page.read_text("utf-8")))
    assert {each for each in named - known if f"{each}__" not in " ".join(known)} == set()


def machines() -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Every state machine of the domain with its arrows, by what it is called in code."""
    for module in pkgutil.iter_modules(domain.__path__):
        for name, value in vars(importlib.import_module(f"domain.{module.name}")).items():
            if name == "NEXT" or name.endswith(("TRANSITIONS", "_MOVES")):
                arrows = set(_arrows(value)) if isinstance(value, Mapping) else set()
                if arrows:
                    yield f"{module.name}.{name}", arrows


def _arrows(table: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    for key, found in table.items():
        old = key[0] if isinstance(key, tuple) else key
        if isinstance(found, StrEnum | frozenset):
            for new in found if isinstance(found, frozenset) else [found]:
                yield str(old), str(new)


MACHINES = dict(machines())


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_machine_is_drawn_on_a_page(name: str) -> None:
    assert any(MACHINES[name] <= set(_ARROW.findall(docs.PAGES[page]())) for page in docs.PAGES)


def test_the_pages_of_all_machines_are_known() -> None:
    assert len({frozenset(each) for each in MACHINES.values()}) >= 19


def test_every_page_is_read_on_from_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    missing = [page.name for page in docs.DOCS.glob("*.md") if f"docs/{page.name})" not in readme]
    assert missing == []
