"""Names of uploaded files: anything may come, and what is shown or saved under the name must not deceive."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from api.schemas.base import printable

MAX_LENGTH = 200
_NAMELESS = "file"
_SUFFIXES = {
    "application/pdf": (".pdf", ".ai"),
    "application/zip": (".zip",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/tiff": (".tif", ".tiff"),
    "image/vnd.adobe.photoshop": (".psd", ".psb"),
    "image/webp": (".webp",),
    "model/stl": (".stl",),
}


def cleaned(name: str) -> str:
    """One line of 1 to 200 characters without folders, control characters and dots or spaces at its ends."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    text = "".join(ch if printable(ch) else " " for ch in last)
    text = " ".join(text.split()).strip(" .")
    suffix = PurePosixPath(text).suffix
    if len(text) > MAX_LENGTH:
        kept = suffix if len(suffix) <= 10 else ""
        text = (text[: MAX_LENGTH - len(kept)] + kept).strip(" .")
    return text or _NAMELESS


def for_saving(name: str, media_type: str) -> str:
    """The name under which a browser saves the file: it always ends as the media type does.

    Whoever opens it gets the program for what it was checked to be, not for what the uploader called it.
    """
    fitting = _SUFFIXES[media_type]
    return name if name.lower().endswith(fitting) else name + fitting[0]
