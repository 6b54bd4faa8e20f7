"""Small building blocks of the sandbox's pages. Everything that is not `Html` is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

Html = Markup
Cell = str | int | None

_NO_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"}
    | {"PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THREE_DECIMALS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

_STYLE = """
:root { color-scheme: light; --ink: #22302b; --soft: #66756e; --line: #dfe5e1; --tint: #f4f6f3;
  --go: #1c6b4f; --go-dark: #14513b; --warn: #9a3324; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--tint); color: var(--ink); line-height: 1.5; font: 16px/1.5
  system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 48px; }
main.narrow { max-width: 440px; padding-top: 6vh; }
h1 { font-size: 1.35rem; margin: 0 0 4px; } h2 { font-size: 1.05rem; margin: 0 0 12px; }
p { margin: 0 0 12px; } .soft { color: var(--soft); font-size: .9rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 20px;
  margin: 0 0 16px; overflow-x: auto; }
.amount { font-size: 2.2rem; font-weight: 650; letter-spacing: -.01em; margin: 12px 0;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.text { overflow-wrap: anywhere; white-space: pre-wrap; }
.note { border-radius: 8px; padding: 10px 12px; margin: 0 0 16px; font-weight: 550; }
.note.good { background: #e3f1ea; color: var(--go-dark); }
.note.bad { background: #fbe9e6; color: var(--warn); }
button, a.button { font: inherit; font-weight: 600; border-radius: 8px; padding: 6px 12px;
  border: 1px solid var(--line); background: #fff; color: var(--ink); cursor: pointer;
  text-decoration: none; display: inline-block; text-align: center; }
button:hover, a.button:hover { border-color: var(--soft); }
button:focus-visible, a:focus-visible, input:focus-visible, select:focus-visible {
  outline: 3px solid #8cc5ae; outline-offset: 1px; }
button.go, a.go { background: var(--go); border-color: var(--go); color: #fff; }
button.go:hover, a.go:hover { background: var(--go-dark); }
.wide button, a.wide { width: 100%; padding: 13px; margin-top: 10px; }
form.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: end; margin: 0 0 16px; }
form.inline button { margin: 0 6px 4px 0; }
form.inline { display: inline; }
label { display: flex; flex-direction: column; font-size: .82rem; color: var(--soft); gap: 2px; }
input, select { font: inherit; padding: 6px 8px; border: 1px solid var(--line); border-radius: 8px;
  background: #fff; color: var(--ink); min-width: 0; max-width: 100%; }
input.short { width: 84px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; color: var(--soft); font-weight: 550; }
th, td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page(title: str, body: Html, *, narrow: bool = False, status: int = 200) -> HTMLResponse:
    """A whole document without any outside resource."""
    content = Html(
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>{}</title><style>{}</style></head><body><main class="{}">{}</main></body></html>'
    ).format(title, Html(_STYLE), "narrow" if narrow else "", body)
    return HTMLResponse(content, status_code=status, headers=_HEADERS)


def join(parts: Iterable[Html]) -> Html:
    """Pieces one after another."""
    return Html("").join(parts)


def card(title: str, *parts: Html) -> Html:
    """A titled box."""
    return Html('<section class="card"><h2>{}</h2>{}</section>').format(title, join(parts))


def table(heads: Iterable[str], rows: Iterable[Iterable[Cell | Html]]) -> Html:
    """A table, or a dash when there is nothing."""
    lines = [Html("<tr>{}</tr>").format(join(_cell(cell) for cell in row)) for row in rows]
    if not lines:
        return Html('<p class="soft">—</p>')
    head = join(Html("<th>{}</th>").format(text) for text in heads)
    return Html("<table><tr>{}</tr>{}</table>").format(head, join(lines))


def _cell(value: Cell | Html) -> Html:
    if isinstance(value, int):
        return Html('<td class="number">{}</td>').format(value)
    return Html("<td>{}</td>").format("" if value is None else value)


def button(label: str, *, name: str = "", value: str = "", primary: bool = False) -> Html:
    """A submit button."""
    field = Html(' name="{}" value="{}"').format(name, value) if name else Html("")
    kind = Html(' class="go"') if primary else Html("")
    return Html('<button type="submit"{}{}>{}</button>').format(kind, field, label)


def form(action: str, css: str, *parts: Html) -> Html:
    """A form that posts to this server."""
    return Html('<form method="post" action="{}" class="{}">{}</form>').format(
        action, css, join(parts)
    )


def text_field(label: str, name: str, value: str = "", *, short: bool = False) -> Html:
    """A labelled one-line input."""
    return Html('<label>{}<input name="{}" value="{}" class="{}"></label>').format(
        label, name, value, "short" if short else ""
    )


def choice(label: str, name: str, options: Iterable[tuple[str, str]]) -> Html:
    """A labelled drop-down of (value, text)."""
    items = join(Html('<option value="{}">{}</option>').format(*option) for option in options)
    return Html('<label>{}<select name="{}">{}</select></label>').format(label, name, items)


def code(text: str) -> Html:
    """Machine text."""
    return Html("<code>{}</code>").format(text)


def soft(text: str) -> Html:
    """A quiet paragraph."""
    return Html('<p class="soft">{}</p>').format(escape(text))


def text_block(text: str) -> Html:
    """Words as somebody wrote them, with their lines."""
    return Html('<p class="text">{}</p>').format(text)


def money(amount: int, currency: str) -> str:
    """The amount in the currency's own decimals: `CNY 1,234.50`. Unknown currencies get two."""
    decimals = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{currency} {'-' if amount < 0 else ''}{whole:,}{fraction}"
