"""Uploading and serving pictures."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from api import pictures
from api.auth import CurrentUser
from api.errors import UnsupportedMediaType, problems
from api.idempotency import OnceDep
from api.policy import require, unknown
from api.schemas.files import FileView
from api.services import Services, ServicesDep
from db.queries import files
from db.queries.files import NewFile
from db.tables import File
from domain.access import Action
from domain.errors import FileRefused, FileTooLarge, Forbidden, InvalidInput, NotFound, Unavailable
from domain.ids import FileId

router = APIRouter(tags=["files"])
_CACHE_FOR_EVER = "public, max-age=31536000, immutable"
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                },
                "encoding": {"file": {"contentType": "image/png, image/jpeg, image/webp"}},
            }
        },
    }
}


@dataclass(frozen=True)
class Upload:
    """The bytes of an upload and the media type they claim to have."""

    content: bytes
    media_type: str


@router.post(
    "/v1/files",
    status_code=201,
    operation_id="uploadFile",
    summary="Upload a picture",
    response_model=FileView,
    responses=problems(FileRefused, FileTooLarge, Forbidden),
    openapi_extra=_FORM,
)
async def upload_file(
    request: Request, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Takes one PNG, JPEG or WebP picture in the multipart field `file`, decodes it to be sure, and keeps it.

    The same bytes are stored once, however often they are uploaded.
    """
    require(Action.FILE_UPLOAD, user.relations())
    upload = await _received(request, services.settings.upload_max_bytes)

    async def keep(file_id: str) -> FileView:
        row = await _keep(services, user.id, file_id, upload)
        return FileView.of(row, services.settings.api_url)

    fingerprint = f"{upload.media_type} {hashlib.sha256(upload.content).hexdigest()}"
    return await once.resumable("fil", fingerprint, keep, status=201)


async def _keep(services: Services, owner_id: str, file_id: str, upload: Upload) -> File:
    settings = services.settings
    async with services.decoding:
        picture = await asyncio.to_thread(
            pictures.inspect, upload.content, upload.media_type, settings.upload_max_pixels
        )
    sha256 = await services.files.put(upload.content)
    new = NewFile(
        id=file_id,
        owner_id=owner_id,
        sha256=sha256,
        media_type=picture.media_type,
        size_bytes=len(upload.content),
        width=picture.width,
        height=picture.height,
    )
    async with services.database.transaction() as session:
        return await files.add(session, new)


async def _received(request: Request, max_bytes: int) -> Upload:
    """Reads the form, giving up as soon as more than `max_bytes` of file can have come."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise UnsupportedMediaType(
            "a file comes as multipart/form-data",
            field="Content-Type",
            accepted="multipart/form-data",
        )
    parser = MultiPartParser(
        request.headers, _bounded(request, max_bytes), max_files=1, max_fields=0
    )
    try:
        form = await parser.parse()
    except MultiPartException:
        raise _not_one_file() from None
    try:
        sent = form.get("file")
        if len(form) != 1 or not isinstance(sent, UploadFile):
            raise _not_one_file()
        content = await sent.read()
    finally:
        await form.close()
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    media_type = (sent.content_type or "").partition(";")[0].strip().lower()
    return Upload(content, media_type)


async def _bounded(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    # Content-Length may be missing or lie: what counts is what arrives.
    seen, envelope = 0, 65_536
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > max_bytes + envelope:
            raise _too_large(max_bytes)
        yield chunk


def _not_one_file() -> InvalidInput:
    return InvalidInput(
        "the form does not hold one file",
        field="file",
        accepted="multipart/form-data with one part, the file `file`",
    )


def _too_large(max_bytes: int) -> FileTooLarge:
    return FileTooLarge(
        "the file is too large", field="file", accepted=f"at most {max_bytes} bytes"
    )


@router.get(
    "/v1/files/{file_id}",
    operation_id="getFile",
    summary="What is known about a picture",
    responses=problems(NotFound),
)
async def get_file(file_id: FileId, services: ServicesDep) -> FileView:
    """Type, size and address of an uploaded picture; needs no token."""
    return FileView.of(await _existing(services, file_id), services.settings.api_url)


@router.get(
    "/v1/files/{file_id}/content",
    operation_id="getFileContent",
    summary="The picture itself",
    response_class=Response,
    responses={
        200: {
            "description": "The picture",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in sorted(set(pictures.MEDIA_TYPES.values()))
            },
        },
        304: {"description": "Not changed: pictures never do"},
        **problems(NotFound),
    },
)
async def get_content(file_id: FileId, request: Request, services: ServicesDep) -> Response:
    """The bytes as uploaded; needs no token and may be cached for ever."""
    file = await _existing(services, file_id)
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _CACHE_FOR_EVER,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "inline",
        # Nothing in a picture may run, whatever a browser makes of it.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        content = await services.files.get(file.sha256)
    except KeyError as lost:
        raise Unavailable("the content of this file is missing from the file store") from lost
    return Response(content, media_type=file.media_type, headers=headers)


async def _existing(services: Services, file_id: str) -> File:
    async with services.database.transaction() as session:
        file = await files.get(session, file_id)
    if file is None:
        raise unknown("file")
    return file
