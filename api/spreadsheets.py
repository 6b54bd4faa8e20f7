"""Tables as CSV files: RFC 4180, UTF-8 with a byte order mark, because spreadsheet programs guess otherwise."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from starlette.responses import StreamingResponse

Cell = str | int | None
MEDIA_TYPE = "text/csv"
_BYTE_ORDER_MARK = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet program would compute a text that begins so (OWASP, CSV injection)."""


def spreadsheet(
    name: str, header: Sequence[str], lines: AsyncIterator[Sequence[Cell]]
) -> StreamingResponse:
    """The answer that a browser saves as `name`.csv; lines are sent as they are read."""
    return StreamingResponse(
        _text(header, lines),
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "private, no-store",
        },
    )


async def _text(header: Sequence[str], lines: AsyncIterator[Sequence[Cell]]) -> AsyncIterator[str]:
    yield _BYTE_ORDER_MARK + _line(header)
    async for cells in lines:
        yield _line([_harmless(cell) for cell in cells])


def _line(cells: Sequence[Cell]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
