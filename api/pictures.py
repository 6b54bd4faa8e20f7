"""Decides whether uploaded bytes are the picture they claim to be, by decoding them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from domain.errors import FileRefused, FileTooLarge

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with further pictures behind it, as many phones write
    "WEBP": "image/webp",
}
ACCEPTED = "a PNG, JPEG or WebP picture, sent with its own content type"


@dataclass(frozen=True)
class Picture:
    """What a picture turned out to be; sizes in pixels."""

    media_type: str
    width: int
    height: int


def inspect(content: bytes, claimed: str, max_pixels: int) -> Picture:
    """Decodes the picture. Needs up to 4 bytes a pixel and blocks: run it in a thread.

    Raises FileRefused when it is not a still picture of an accepted kind or not of the claimed media type, and
    FileTooLarge above `max_pixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP"))
    except Image.DecompressionBombError:
        raise _too_many_pixels(max_pixels) from None
    except Exception:  # Pillow's readers raise many kinds on hostile bytes
        raise FileRefused("the file is not a picture", field="file", accepted=ACCEPTED) from None
    with image:
        found = MEDIA_TYPES[image.format or ""]
        if claimed != found:
            raise FileRefused(
                f"the file is {found} but claims to be {claimed[:100] or 'nothing'}",
                field="file",
                accepted=ACCEPTED,
            )
        if image.width * image.height > max_pixels:
            raise _too_many_pixels(max_pixels)
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise FileRefused("the picture moves", field="file", accepted="a still picture")
        _decode(image)
        return Picture(found, image.width, image.height)


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception:  # damaged data ends in OSError, SyntaxError, ValueError, …
        raise FileRefused(
            "the picture is damaged or cut off", field="file", accepted=ACCEPTED
        ) from None


def _too_many_pixels(max_pixels: int) -> FileTooLarge:
    return FileTooLarge(
        "the picture has too many pixels", field="file", accepted=f"at most {max_pixels} pixels"
    )
