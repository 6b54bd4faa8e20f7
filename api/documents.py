"""Decides whether uploaded bytes are the document they claim to be, by what its format must begin and end with.

Taken is what designers hand over and what can be told by its bytes. Left out on purpose: SVG and HTML, which are text
that runs scripts; PostScript, which is a program; text formats without a signature. They travel inside a ZIP archive,
which nobody unpacks here; drawings of Illustrator go as PDF, which they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from domain.errors import FileRefused

_ALIASES = {"application/x-zip-compressed": "application/zip"}  # as browsers on Windows say


def inspect(content: bytes, claimed: str) -> str:
    """The media type of the document. Raises FileRefused when it is of no accepted kind or not what it claims to be."""
    media_type = _ALIASES.get(claimed, claimed)
    if media_type not in _CHECKS:
        raise FileRefused(
            f"files of the type {claimed[:100] or 'nothing'} are not taken",
            field="file",
            accepted=ACCEPTED,
        )
    if not _CHECKS[media_type](content):
        raise FileRefused(
            f"the file claims to be {media_type} but is not, or it is cut off",
            field="file",
            accepted=ACCEPTED,
        )
    return media_type


def _is_pdf(content: bytes) -> bool:
    return content.startswith((b"%PDF-1.", b"%PDF-2.")) and b"%%EOF" in content[-1_024:]


def _is_zip(content: bytes) -> bool:
    # The list of contents is at the end, before a comment of at most 65,535 bytes. It is not read: it could be huge.
    end = content.rfind(b"PK\x05\x06", -(22 + 65_535))
    if not content.startswith(b"PK\x03\x04") or end < 0 or len(content) < end + 22:
        return False
    (comment_bytes,) = struct.unpack_from("<H", content, end + 20)
    return len(content) == end + 22 + int(comment_bytes)


def _is_photoshop(content: bytes) -> bool:
    header = (b"8BPS\x00\x01" + bytes(6), b"8BPS\x00\x02" + bytes(6))
    return len(content) >= 26 and content.startswith(header)


def _is_tiff(content: bytes) -> bool:
    order = {b"II*\x00": "<I", b"MM\x00*": ">I"}.get(content[:4])
    if order is None or len(content) < 8:
        return False
    (directory,) = struct.unpack_from(order, content, 4)
    return 8 <= int(directory) <= len(content) - 6


def _is_stl(content: bytes) -> bool:
    # Binary STL has no signature, but its length follows from the number of triangles. Its text form has neither.
    if len(content) < 84:
        return False
    (triangles,) = struct.unpack_from("<I", content, 80)
    return int(triangles) > 0 and len(content) == 84 + 50 * int(triangles)


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    "application/pdf": _is_pdf,
    "application/zip": _is_zip,
    "image/tiff": _is_tiff,
    "image/vnd.adobe.photoshop": _is_photoshop,
    "model/stl": _is_stl,
}
MEDIA_TYPES = tuple(_CHECKS)
"""Every kind of document that is taken."""
ACCEPTED = (
    "a PNG, JPEG or WebP picture, or a PDF, ZIP, TIFF, Photoshop or binary STL file, "
    "sent with its own content type"
)
