"""Pictures: what is refused, what is kept, and how it is served; from a folder and from S3."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from PIL import Image

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
