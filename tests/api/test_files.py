"""Pictures: what is refused, what is kept, and how it and its thumbnail are served; from a folder and from S3."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from PIL import ExifTags, Image

from api import pictures
from domain.errors import FileTooLarge, Unavailable
from runtime.settings import Settings
from runtime.storage import FileStore
from tests.api.client import Api, assert_problem, picture, running_api
from tests.api.issuer import Issuer
from tests.servers import free_port

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def _png_claiming(width: int, height: int) -> bytes:
    """A tiny file whose header promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\x00" * 1_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _moving() -> bytes:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    return picture("WEBP", (8, 8), save_all=True, append_images=frames)


REFUSED: dict[str, tuple[bytes, str, int, str]] = {
    "renamed text": (b"just text", "image/png", 422, "file_refused"),
    "nothing": (b"", "image/png", 422, "file_refused"),
    "svg": (SVG, "image/svg+xml", 422, "file_refused"),
    "svg as png": (SVG, "image/png", 422, "file_refused"),
    "gif": (picture("GIF"), "image/gif", 422, "file_refused"),
    "png as jpeg": (picture("PNG"), "image/jpeg", 422, "file_refused"),
    "png as octets": (picture("PNG"), "application/octet-stream", 422, "file_refused"),
    "truncated png": (picture(size=(99, 99))[:-60], "image/png", 422, "file_refused"),
    "truncated jpeg": (picture("JPEG", (99, 99))[:-60], "image/jpeg", 422, "file_refused"),
    "truncated webp": (picture("WEBP", (99, 99))[:-20], "image/webp", 422, "file_refused"),
    "moving": (_moving(), "image/webp", 422, "file_refused"),
    "bomb by pixels": (_png_claiming(1_001, 1_000), "image/png", 413, "file_too_large"),
    "bomb for Pillow": (_png_claiming(60_000, 60_000), "image/png", 413, "file_too_large"),
    "bytes": (b"x" * 200_001, "image/png", 413, "file_too_large"),
    "many bytes": (b"x" * 400_000, "image/png", 413, "file_too_large"),
}


async def test_refused(api: Api) -> None:
    for name, (content, media_type, status, code) in REFUSED.items():
        answer = await api.upload("painter", content, media_type)
        assert answer.status_code == status, f"{name}: {answer.text}"
        assert_problem(answer, status, code)
    assert (
        api.execute(
            "SELECT 1 FROM files f JOIN users u ON u.id = f.owner_id WHERE u.subject = 'painter'"
        )
        == []
    )


@pytest.mark.parametrize(
    ("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_kept_and_served(api: Api, kind: str, media_type: str) -> None:
    content = picture(kind, (40, 30))
    answer = await api.upload("ann", content, media_type)
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["width"], file["height"], file["size_bytes"]) == (40, 30, len(content))
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert (await api.get(f"/v1/files/{file['id']}")).json() == file

    served = await api.get(f"/v1/files/{file['id']}/content")
    assert served.content == content
    assert served.headers["content-type"] == media_type
    assert "immutable" in served.headers["cache-control"]
    assert served.headers["x-content-type-options"] == "nosniff"
    headers = {"If-None-Match": served.headers["etag"]}
    known = await api.call("GET", f"/v1/files/{file['id']}/content", headers=headers)
    assert (known.status_code, known.content) == (304, b"")


def _turned(content: bytes) -> bytes:
    """The picture again, with a note that it lies on its side, and who took it where."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Lin Mei"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


async def _thumbnail(api: Api, file: dict[str, str]) -> Image.Image:
    path = file["thumbnail_url"].removeprefix(api.settings.api_url)
    served = await api.get(path)
    assert served.status_code == 200, served.text
    assert served.headers["content-type"] == "image/webp"
    assert "immutable" in served.headers["cache-control"]
    assert "sandbox" in served.headers["content-security-policy"]
    headers = {"If-None-Match": served.headers["etag"]}
    assert (await api.call("GET", path, headers=headers)).status_code == 304
    return Image.open(io.BytesIO(served.content))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((900, 600), (320, 213)),
        ((600, 900), (213, 320)),
        ((30, 20), (30, 20)),
        ((900, 1), (320, 1)),
    ],
)
async def test_thumbnail_size(api: Api, size: tuple[int, int], expected: tuple[int, int]) -> None:
    file = (await api.upload("ann", picture(size=size))).json()
    small = await _thumbnail(api, file)
    assert small.size == expected
    assert small.convert("RGB").getpixel((0, 0)) == pytest.approx((0, 128, 128), abs=4)


async def test_thumbnail_stands_upright_and_tells_nothing(api: Api) -> None:
    content = _turned(picture("JPEG", (800, 400)))
    file = (await api.upload("ann", content, "image/jpeg")).json()
    assert (file["width"], file["height"]) == (800, 400)
    small = await _thumbnail(api, file)
    assert small.size == (160, 320)
    assert dict(small.getexif()) == {}
    assert not {"exif", "xmp", "icc_profile"} & set(small.info)
    assert (await api.get(f"/v1/files/{file['id']}/content")).content == content


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_thumbnail_of_every_kind_of_png(mode: str) -> None:
    buffer = io.BytesIO()
    light = 50_000 if mode == "I;16" else 255
    color = (light,) * len(mode) if mode in {"LA", "RGB", "RGBA"} else light
    image = Image.new("L", (500, 400), light).convert("P") if mode == "P" else None
    (image or Image.new(mode, (500, 400), color)).save(buffer, "PNG")
    found = pictures.inspect(buffer.getvalue(), "image/png", 200_000)
    small = Image.open(io.BytesIO(found.thumbnail)).convert("L")
    assert small.size == (320, 256)
    assert small.getpixel((9, 9)) == pytest.approx(194 if mode == "I;16" else 255, abs=3)


def test_a_transparent_picture_has_a_transparent_thumbnail() -> None:
    content = picture(color="black", size=(400, 400), transparency=(0, 0, 0))
    found = pictures.inspect(content, "image/png", 200_000)
    assert Image.open(io.BytesIO(found.thumbnail)).convert("RGBA").getpixel((9, 9))[3] == 0  # type: ignore[index]


async def test_pictures_from_before_thumbnails(api: Api) -> None:
    file = (await api.upload("ann", picture(color="navy"))).json()
    api.execute("UPDATE files SET thumbnail_sha256 = NULL WHERE id = %s", file["id"])
    assert (await api.get(f"/v1/files/{file['id']}")).json()["thumbnail_url"] is None
    assert_problem(await api.get(f"/v1/files/{file['id']}/thumbnail"), 404, "not_found")


async def test_same_bytes_are_stored_once(api: Api) -> None:
    first = (await api.upload("ann", picture(color="pink"))).json()
    second = (await api.upload("bob", picture(color="pink"))).json()
    assert first["id"] != second["id"]
    assert first["sha256"] == second["sha256"]
    stored = [p for p in api.settings.data_dir.rglob("*") if p.name == first["sha256"]]
    assert len(stored) == 1


@pytest.mark.parametrize("length", [None, "10", "999999999"])
async def test_size_limit_does_not_trust_content_length(api: Api, length: str | None) -> None:
    """An endless body is cut off after the limit, whatever its header says."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield (
            b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n"
            b"Content-Type: image/png\r\n\r\n"
        )
        while True:
            sent += 10_000
            yield b"x" * 10_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    if length is not None:
        headers["Content-Length"] = length
    answer = await api.call("POST", "/v1/files", by="ann", content=endless(), headers=headers)
    assert_problem(answer, 413, answer.json()["code"])
    assert sent < 300_000


async def test_forms_that_are_not_one_file(api: Api) -> None:
    one = ("a", picture(), "image/png")
    forms: list[dict[str, object]] = [
        {"files": {"picture": one}},
        {"files": [("file", one), ("file", one)]},
        {"files": {"file": one}, "data": {"more": "1"}},
        {"content": b"--b\r\nnonsense", "headers": {"Content-Type": "multipart/form-data"}},
        {
            "content": b"--b\r\nnonsense",
            "headers": {"Content-Type": "multipart/form-data; boundary=b"},
        },
    ]
    for form in forms:
        answer = await api.call("POST", "/v1/files", by="ann", **form)  # type: ignore[arg-type]
        problem = assert_problem(answer, 422, "invalid_input")
        assert problem["field"] == "file"
    answer = await api.call("POST", "/v1/files", by="ann", json={"file": "x"})
    assert_problem(answer, 415, "unsupported_media_type")
    assert_problem(await api.upload("ann", picture(), key=""), 400, "idempotency_key_missing")


async def test_unauthenticated_upload_is_not_read(api: Api) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": "k"}
    answer = await api.http.post("/v1/files", content=never(), headers=headers)
    assert_problem(answer, 401, "unauthenticated")


def test_pixel_limit_is_exact() -> None:
    found = pictures.inspect(picture(size=(20, 10)), "image/png", 200)
    assert (found.width, found.height) == (20, 10)
    with pytest.raises(FileTooLarge):
        pictures.inspect(picture(size=(20, 10)), "image/png", 199)


@contextmanager
def _running_s3() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "Running on" in line:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


async def test_s3(api_settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    settings = api_settings.model_copy(update={"files_url": "s3://pictures/uploads"})
    content = picture(color="gold")
    with _running_s3() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="pictures")
        async with running_api(settings, issuer) as api:
            file = (await api.upload("ann", content)).json()
            again = await api.upload("ann", content)
            assert again.status_code == 201, again.text
            served = await api.get(f"/v1/files/{file['id']}/content")
            assert served.content == content
            with pytest.raises(KeyError):
                await api.app.state.services.files.get("0" * 64)


async def test_file_store_that_cannot_be_written(tmp_path: Path) -> None:
    store = FileStore.local(tmp_path / "files")
    (tmp_path / "files" / "sha256").write_text("in the way")
    with pytest.raises(Unavailable):
        await store.put(b"x")


async def test_content_lost_from_the_store_is_no_empty_picture(api: Api) -> None:
    file = (await api.upload("ann", picture(color="olive"))).json()
    for stored in api.settings.data_dir.rglob(file["sha256"]):
        stored.unlink()
    assert_problem(await api.get(f"/v1/files/{file['id']}/content"), 503, "unavailable")
