"""Documents: told by their bytes, served for saving only, under names that cannot deceive."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile

import pytest
from PIL import Image

from api import file_names
from tests.api.client import LISTING, Api, assert_problem, picture

PSD_TYPE = "image/vnd.adobe.photoshop"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PSD = b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 1, 1, 8, 3) + bytes(20)
STL = bytes(80) + struct.pack("<I", 2) + bytes(100)


def _zip(comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("logo.svg", "<svg/>")
        archive.comment = comment
    return buffer.getvalue()


def _tiff() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF")
    return buffer.getvalue()


TAKEN = {
    "application/pdf": PDF,
    "application/zip": _zip(),
    "image/tiff": _tiff(),
    PSD_TYPE: PSD,
    "model/stl": STL,
}
WEB_PAGE = b"<html><script>alert(1)</script></html>"
REFUSED: dict[str, tuple[bytes, str]] = {
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    "web page": (WEB_PAGE, "text/html"),
    "text": (b"hello", "text/plain"),
    "postscript": (b"%!PS-Adobe-3.0\n%%EOF\n", "application/postscript"),
    "program": (b"MZ" + bytes(200), "application/x-msdownload"),
    "no type": (PDF, ""),
    "octets": (PDF, "application/octet-stream"),
    "page before a pdf": (WEB_PAGE + PDF, "application/pdf"),
    "pdf cut off": (PDF[:-8], "application/pdf"),
    "page before a zip": (WEB_PAGE + _zip(), "application/zip"),
    "zip cut off": (_zip()[:-1], "application/zip"),
    "zip with a tail": (_zip() + b"x", "application/zip"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "application/zip"),
    "only the start of a zip": (b"PK\x03\x04", "application/zip"),
    "tiff without pictures": (b"II*\x00" + struct.pack("<I", 99), "image/tiff"),
    "tiff cut off": (b"II*\x00", "image/tiff"),
    "photoshop version 9": (
        PSD.replace(b"8BPS\x00\x01", b"8BPS\x00\x09"),
        PSD_TYPE,
    ),
    "photoshop cut off": (PSD[:20], PSD_TYPE),
    "stl too short": (STL[:-1], "model/stl"),
    "stl too long": (STL + b"x", "model/stl"),
    "stl of nothing": (bytes(84), "model/stl"),
    "tiny stl": (b"x", "model/stl"),
}


async def test_refused(api: Api) -> None:
    claims = {
        f"{kind} as {other}": (content, other)
        for kind, content in TAKEN.items()
        for other in [*TAKEN, "image/png"]
        if kind != other
    }
    for kind in TAKEN:
        claims[f"nothing as {kind}"] = (b"", kind)
        claims[f"png as {kind}"] = (picture(), kind)
    for name, (content, media_type) in {**REFUSED, **claims}.items():
        answer = await api.upload("drafter", content, media_type)
        assert answer.status_code == 422, f"{name}: {answer.text}"
        problem = assert_problem(answer, 422, "file_refused")
        assert (problem["field"], bool(problem["accepted"])) == ("file", True), name
    drafter = await api.user_id("drafter")
    assert api.execute("SELECT 1 FROM files WHERE owner_id = %s", drafter) == []


@pytest.mark.parametrize("media_type", TAKEN)
async def test_kept_and_served_for_saving(api: Api, media_type: str) -> None:
    content = TAKEN[media_type]
    answer = await api.upload("ann", content, media_type, name="handover")
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["media_type"], file["name"], file["private"]) == (media_type, "handover", False)
    assert (file["width"], file["height"], file["thumbnail_url"]) == (None, None, None)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()

    served = await api.get(f"/v1/files/{file['id']}/content")
    assert served.content == content
    assert served.headers["content-type"] == media_type
    assert served.headers["content-disposition"].startswith("attachment; ")
    assert served.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in served.headers["cache-control"]
    assert_problem(await api.get(f"/v1/files/{file['id']}/thumbnail"), 404, "not_found")


async def test_zips_as_windows_names_them_and_with_comments(api: Api) -> None:
    answer = await api.upload("ann", _zip(b"from Anji"), "application/x-zip-compressed")
    assert answer.status_code == 201, answer.text
    assert answer.json()["media_type"] == "application/zip"


async def test_size_limit(api: Api) -> None:
    answer = await api.upload("ann", PDF + bytes(200_001), "application/pdf")
    assert_problem(answer, 413, "file_too_large")


async def test_listings_show_neither_documents_nor_private_pictures(api: Api) -> None:
    document = await api.upload("engraver", PDF, "application/pdf")
    hidden = await api.upload("engraver", picture(), private=True)
    shown = (await api.upload("engraver", picture())).json()["id"]
    listing = await api.listing("engraver", picture_ids=[shown])
    for wrong in (document.json()["id"], hidden.json()["id"]):
        changes = {"picture_ids": [shown, wrong]}
        for method, path, body in (
            ("POST", "/v1/listings", {**LISTING, **changes}),
            ("PATCH", f"/v1/listings/{listing['id']}", changes),
        ):
            answer = await api.call(method, path, by="engraver", json=body)
            assert assert_problem(answer, 422, "invalid_input")["field"] == "picture_ids[1]"


NAMES = {
    "logo.pdf": "logo.pdf",
    "竹灯 设计.pdf": "竹灯 设计.pdf",
    "../../etc/passwd": "passwd",
    "C:\\Users\\ann\\logo.pdf": "logo.pdf",
    "a\r\nSet-Cookie: x=1.pdf": "a Set-Cookie: x=1.pdf",
    "a\x00b\x1b[31m.pdf": "a b [31m.pdf",
    "cod\u202efdp.exe": "cod fdp.exe",
    "  .hidden.  ": "hidden",
    "": "file",
    "..": "file",
    "/": "file",
    "e\u0301.pdf": "é.pdf",
    "x" * 300 + ".pdf": "x" * 196 + ".pdf",
    "x." + "y" * 300: "x." + "y" * 198,
    '"; filename=evil.html': '"; filename=evil.html',
}


@pytest.mark.parametrize("sent", NAMES)
def test_names_are_cleaned(sent: str) -> None:
    cleaned = file_names.cleaned(sent)
    assert cleaned == NAMES[sent]
    assert file_names.cleaned(cleaned) == cleaned
    assert len(cleaned) <= 200


async def test_hostile_names_stay_in_their_header(api: Api) -> None:
    for sent in NAMES:
        name = sent.replace("\x00", "").replace("\r\n", "") or "file"  # no client can send these
        answer = await api.upload("ann", PDF, "application/pdf", name=name)
        assert answer.status_code == 201, f"{sent!r}: {answer.text}"
        served = await api.get(f"/v1/files/{answer.json()['id']}/content")
        disposition = served.headers["content-disposition"]
        kind, _, value = disposition.partition("; filename*=UTF-8''")
        assert kind == "attachment"
        assert not set(value) & set("\"'; /\\\r\n"), disposition
        assert value.endswith(".pdf"), disposition


@pytest.mark.parametrize(
    ("name", "media_type", "saved"),
    [
        ("logo.AI", "application/pdf", "logo.AI"),
        ("invoice.hta", "application/pdf", "invoice.hta.pdf"),
        ("run.exe", "application/zip", "run.exe.zip"),
        ("page.html", "image/png", "page.html.png"),
        ("photo.JPEG", "image/jpeg", "photo.JPEG"),
        ("file", "model/stl", "file.stl"),
    ],
)
def test_saved_names_end_as_the_type_does(name: str, media_type: str, saved: str) -> None:
    assert file_names.for_saving(name, media_type) == saved
