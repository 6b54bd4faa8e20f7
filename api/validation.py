"""What a request failed on, in the words of the API: dotted field, detail, and what would be accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import DomainError, InvalidInput

_ACCEPTED = {
    "missing": "a value",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of at most 64 bits",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_unicode": "valid Unicode text",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
    "tuple_type": "a list",
    "extra_forbidden": "only the documented fields",
    "timezone_aware": "a date and time with a zone, such as 2027-03-01T09:00:00Z",
    "datetime_parsing": "ISO 8601 with a zone, such as 2027-03-01T09:00:00Z",
    "url_parsing": "an address such as https://shop.example/orders",
    "url_scheme": "an address that begins with http:// or https://",
    "datetime_from_date_parsing": "ISO 8601 with a zone, such as 2027-03-01T09:00:00Z",
}
_ACCEPTED_BY_LIMIT = (
    ("ge", "at least {ge}"),
    ("gt", "more than {gt}"),
    ("le", "at most {le}"),
    ("lt", "less than {lt}"),
    ("expected", "{expected}"),
    ("accepted", "{accepted}"),
)


def refusals(errors: Sequence[Mapping[str, Any]]) -> list[DomainError]:
    """One refusal for each validation error of pydantic, in the order of the fields."""
    return [_refusal(error) for error in errors]


def _refusal(error: Mapping[str, Any]) -> DomainError:
    context: Mapping[str, object] = error.get("ctx") or {}
    field = dotted(error["loc"])
    raised = context.get("error")
    cause = raised.__cause__ if isinstance(raised, Exception) else None
    if isinstance(cause, DomainError):
        return type(cause)(cause.detail, field=field, accepted=cause.accepted)
    detail = str(raised) if isinstance(raised, Exception) else str(error["msg"])
    return InvalidInput(detail, field=field, accepted=_accepted(str(error["type"]), context))


def _accepted(kind: str, context: Mapping[str, object]) -> str | None:
    known = _ACCEPTED.get(kind)
    if known is not None:
        return known
    if kind == "string_pattern_mismatch":
        return f"text that matches {context.get('pattern')}"
    unit = "characters" if kind.startswith("string_too") else "items"
    if "max_length" in context:
        return f"at most {context['max_length']} {unit}"
    if "min_length" in context:
        return f"at least {context['min_length']} {unit}"
    for name, words in _ACCEPTED_BY_LIMIT:
        if name in context:
            return words.format(**{name: context[name]})
    return None


def dotted(location: Sequence[str | int]) -> str:
    """`("body", "lines", 0, "quantity")` as `lines[0].quantity`."""
    parts = list(location)
    if len(parts) > 1 and parts[0] in {"body", "query", "path", "header", "cookie"}:
        parts = parts[1:]
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
