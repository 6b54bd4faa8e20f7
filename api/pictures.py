"""Decides whether uploaded bytes are the picture they claim to be, by decoding them, and makes its thumbnail."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from domain.errors import FileRefused, FileTooLarge

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with further pictures behind it, as many phones write
    "WEBP": "image/webp",
}
ACCEPTED = "a PNG, JPEG or WebP picture, sent with its own content type"
THUMBNAIL_PIXELS = 320
"""Longest side of a thumbnail; smaller pictures are not enlarged."""
THUMBNAIL_TYPE = "image/webp"


@dataclass(frozen=True)
class Picture:
    """What a picture turned out to be; sizes in pixels, as stored. The thumbnail stands upright."""

    media_type: str
    width: int
    height: int
    thumbnail: bytes


def inspect(content: bytes, claimed: str, max_pixels: int) -> Picture:
    """Decodes the picture. Needs up to 8 bytes a pixel and blocks: run it in a thread.

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
        width, height = image.size
        if width * height > max_pixels:
            raise _too_many_pixels(max_pixels)
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            raise FileRefused("the picture moves", field="file", accepted="a still picture")
        return Picture(found, width, height, _decoded_to_thumbnail(image))


def _decoded_to_thumbnail(image: Image.Image) -> bytes:
    try:
        image.load()
        return _thumbnail(image)
    except Exception:  # damaged data ends in OSError, SyntaxError, ValueError, …
        raise FileRefused(
            "the picture is damaged or cut off", field="file", accepted=ACCEPTED
        ) from None


def _thumbnail(image: Image.Image) -> bytes:
    grey_16_bits = image.mode.startswith("I")
    small = image
    if image.mode in {"1", "P"} or ("transparency" in image.info and not grey_16_bits):
        small = image.convert("RGBA")  # neither palettes nor a transparent colour can be averaged
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    with contextlib.suppress(Exception):  # a picture with damaged EXIF stays as it lies
        small = ImageOps.exif_transpose(small)
    if grey_16_bits:
        # Converting at once would cut off above 255 instead of scaling.
        small = small.convert("I").point(lambda grey: grey * (1 / 257)).convert("L")
    small = small.convert("RGBA" if small.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    # WebP writes only the metadata it is handed: none of the place, camera or person in the original.
    small.save(buffer, "WEBP", quality=80)
    return buffer.getvalue()


def _too_many_pixels(max_pixels: int) -> FileTooLarge:
    return FileTooLarge(
        "the picture has too many pixels", field="file", accepted=f"at most {max_pixels} pixels"
    )
