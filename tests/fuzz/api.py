"""Sends what schemathesis makes of the OpenAPI document, as people of every role and about things they have a part in."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.security.rights import ROLES, Row, document, table
from tests.security.world import World
from tests.stories.house import Json

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
AnyCase = Case[Any]
Operation = APIOperation[Any, Any, Any, Any]
_ID = re.compile(r"([a-z]{3})_[0-7][0-9a-hjkmnp-tv-z]{25}")
_TRIES = 4
"""How often a request is repeated that is told to come again, as front ends do; the last answer counts."""
_ENDS = ("closeAccount", "freezeUser", "revokeRole", "banCampaign")
"""Take so much away that they come last."""


@dataclass
class Fuzz:
    """One run over all operations."""

    world: World
    examples: int
    """How many requests that fit the document each operation gets; half as many more do not fit it."""
    seed: int
    sent: int = 0
    answers: dict[int, int] = field(default_factory=dict)
    """How many there were of each status."""
    found: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Sends everything; what is wrong is in `found` then."""
        rows = {f"{row.method} {row.path}": row for row in table()}
        schema = schemathesis.openapi.from_dict(_without_tokens())
        operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
        operations.sort(key=lambda each: rows[each.label].operation in _ENDS)
        for place, operation in enumerate(operations):
            for turn, (case, fits) in enumerate(self._cases(operation)):
                role = ROLES[(place + turn) % len(ROLES)]
                await self._try(case, rows[operation.label], role, turn, fits)

    def _cases(self, operation: Operation) -> Iterator[tuple[AnyCase, bool]]:
        wrong = (self.examples + 1) // 2
        for mode, count in (
            (GenerationMode.POSITIVE, self.examples),
            (GenerationMode.NEGATIVE, wrong),
        ):
            for case in self._made(operation, mode, count):
                yield case, mode is GenerationMode.POSITIVE

    def _made(self, operation: Operation, mode: GenerationMode, count: int) -> list[AnyCase]:
        made: list[AnyCase] = []

        @seed(self.seed)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(mode))
        def collect(case: AnyCase) -> None:
            made.append(case)

        try:
            collect()
        except Unsatisfiable:
            return []  # an operation without input takes no wrong one
        return made

    async def _try(self, case: AnyCase, row: Row, role: str, turn: int, fits: bool) -> None:
        if fits:
            self._about_real_things(case, row, turn)
        sent = self._request(case, row, role, fits)
        if sent is None:
            return
        try:
            answer = await self._answered(sent)
        except Exception as raised:
            self.found.append(f"{row.operation} by {role}: {raised!r}\n  {sent}")
            return
        self.sent += 1
        self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
        checks = _CHECKS if fits else [*_CHECKS, negative_data_rejection]
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as group:
            what = "; ".join(" ".join(str(each).split())[:600] for each in group.exceptions)
            self.found.append(f"{row.operation} by {role}: {what}\n  {sent}\n  {answer.text[:300]}")

    def _about_real_things(self, case: AnyCase, row: Row, turn: int) -> None:
        """Puts ids that there are in place of made-up ones, but for every fourth request."""
        if turn % 4 == 3:
            return
        thing = self.world.things[row.of]
        real = {name: thing.ids[name] for name in case.path_parameters if name in thing.ids}
        case.path_parameters.update(real)
        case.body = self._with_real_ids(case.body)

    def _with_real_ids(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._with_real_ids(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._with_real_ids(each) for each in value]
        if isinstance(value, str) and (found := _ID.fullmatch(value)):
            return self._known.get(found[1], value)
        return value

    @property
    def _known(self) -> dict[str, str]:
        """An id of each kind by its prefix."""
        ids = [each for thing in self.world.things.values() for each in thing.ids.values()]
        return {found[1]: each for each in ids if (found := _ID.fullmatch(each))}

    def _request(self, case: AnyCase, row: Row, role: str, fits: bool) -> dict[str, Any] | None:
        """The request for httpx; None when no HTTP client could send it."""
        sent = case.as_transport_kwargs("http://api")
        headers = {
            name: value
            for name, value in sent["headers"].items()
            if name.lower() not in ("authorization", "user-agent")
        }
        if fits and "Idempotency-Key" in headers:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        subject = self.world.subject(role, self.world.things[row.of])
        if subject is not None:
            headers["Authorization"] = f"Bearer {self.world.token(subject)}"
        data = sent.pop("data", None)
        request: dict[str, Any] = {
            name: sent[name]
            for name in ("method", "url", "params", "json", "files")
            if name in sent
        }
        request["headers"] = headers
        if data is not None:
            request["content" if isinstance(data, bytes | str) else "data"] = data
        try:
            self.world.http.build_request(**request).read()
        except (UnicodeError, TypeError, ValueError, AttributeError, httpx.InvalidURL):
            return None
        return request

    async def _answered(self, request: dict[str, Any]) -> httpx.Response:
        for tried in range(1, _TRIES + 1):
            made = self.world.http.build_request(**request)
            await made.aread()  # the checks want to see what was sent
            answer = await self.world.http.send(made)
            if answer.status_code != 503 or tried == _TRIES:
                break
        return answer


def _without_tokens() -> Json:
    """The document as if nothing needed a token: who asks is up to us."""
    found: Json = copy.deepcopy(document())
    for methods in found["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    return found
