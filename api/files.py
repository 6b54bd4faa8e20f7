"""Uploading and serving pictures and documents, public or private."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from api import documents, file_names, pictures
from api.auth import TOKEN_OPTIONAL, Caller, CurrentUser, OptionalUser
from api.errors import UnsupportedMediaType, problems
from api.idempotency import OnceDep
from api.policy import require, unknown
from api.schemas.files import FileView
from api.services import Services, ServicesDep
from db.queries import file_access, files
from db.queries.files import NewFile
from db.tables import File
from domain.access import Action, Relation, allowed
from domain.errors import FileRefused, FileTooLarge, Forbidden, InvalidInput, NotFound, Unavailable
from domain.ids import FileId

router = APIRouter(tags=["files"])
_CACHE_FOR_EVER = "public, max-age=31536000, immutable"
_CACHE_NEVER = "private, no-store"
_KINDS = (*sorted(set(pictures.MEDIA_TYPES.values())), *documents.MEDIA_TYPES)
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
                "encoding": {"file": {"contentType": ", ".join(_KINDS)}},
            }
        },
    }
}
Private = Annotated[
    bool,
    Query(description="Show it only to the uploader, operators and those to whom a path shows it."),
]


@dataclass(frozen=True)
class Upload:
    """The bytes of an upload, the media type they claim to have, and the cleaned name of the file."""

    content: bytes
    media_type: str
    name: str
    private: bool

    @property
    def fingerprint(self) -> str:
        """The same for the same upload only."""
        sha256 = hashlib.sha256(self.content).hexdigest()
        return json.dumps([self.media_type, sha256, self.name, self.private])


@dataclass(frozen=True)
class Inspected:
    """What an upload turned out to be; `picture` is None for documents."""

    media_type: str
    picture: pictures.Picture | None


@router.post(
    "/v1/files",
    status_code=201,
    operation_id="uploadFile",
    summary="Upload a picture or document",
    response_model=FileView,
    responses=problems(FileRefused, FileTooLarge, Forbidden),
    openapi_extra=_FORM,
)
async def upload_file(
    request: Request,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    private: Private = False,
) -> Response:
    """Takes one file in the multipart field `file`, makes sure of what it is, and keeps it.

    Pictures are PNG, JPEG or WebP; they are decoded and get a thumbnail. Documents are PDF, ZIP, TIFF, Photoshop and
    binary STL; they are told by their bytes and only ever served for saving. SVG is not taken, because it can carry
    scripts: put it in a ZIP. A file stays public or private as it was uploaded. The same bytes are stored once,
    however often they are uploaded.
    """
    require(Action.FILE_UPLOAD, user.relations())
    upload = await _received(request, services.settings.upload_max_bytes, private)

    async def keep(file_id: str) -> FileView:
        row = await _keep(services, user.id, file_id, upload)
        return FileView.of(row, services.settings.api_url)

    return await once.resumable("fil", upload.fingerprint, keep, status=201)


async def _keep(services: Services, owner_id: str, file_id: str, upload: Upload) -> File:
    found = await _inspected(services, upload)
    sha256 = await services.files.put(upload.content)
    picture = found.picture
    new = NewFile(
        id=file_id,
        owner_id=owner_id,
        sha256=sha256,
        media_type=found.media_type,
        size_bytes=len(upload.content),
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        name=upload.name,
        private=upload.private,
        thumbnail_sha256=await services.files.put(picture.thumbnail) if picture else None,
    )
    async with services.database.transaction() as session:
        return await files.add(session, new)


async def _inspected(services: Services, upload: Upload) -> Inspected:
    """The claim only chooses the check; the bytes must pass it."""
    if upload.media_type not in pictures.MEDIA_TYPES.values():
        return Inspected(documents.inspect(upload.content, upload.media_type), None)
    async with services.decoding:
        picture = await asyncio.to_thread(
            pictures.inspect,
            upload.content,
            upload.media_type,
            services.settings.upload_max_pixels,
        )
    return Inspected(picture.media_type, picture)


async def _received(request: Request, max_bytes: int, private: bool) -> Upload:
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
    return Upload(content, media_type, file_names.cleaned(sent.filename or ""), private)


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


def _bytes_of(what: str, kinds: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that serves bytes of these media types."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {"description": what, "content": dict.fromkeys(kinds, binary)},
        304: {"description": "Not changed: files never do"},
        **problems(NotFound),
    }


@router.get(
    "/v1/files/{file_id}",
    operation_id="getFile",
    summary="What is known about a file",
    responses=problems(NotFound),
    openapi_extra=TOKEN_OPTIONAL,
)
async def get_file(
    file_id: FileId, user: OptionalUser, services: ServicesDep, response: Response
) -> FileView:
    """Name, type, size and addresses of an uploaded file. A public one needs no token.

    A private file does not exist (404) for anybody but its owner, operators and those to whom a path shows it.
    """
    file = await _visible(services, user, file_id)
    if file.private:
        response.headers["Cache-Control"] = _CACHE_NEVER
    return FileView.of(file, services.settings.api_url)


@router.get(
    "/v1/files/{file_id}/content",
    operation_id="getFileContent",
    summary="The file itself",
    response_class=Response,
    responses=_bytes_of("The file", _KINDS),
    openapi_extra=TOKEN_OPTIONAL,
)
async def get_content(
    file_id: FileId, user: OptionalUser, request: Request, services: ServicesDep
) -> Response:
    """The bytes as uploaded; documents come as attachments, for saving.

    A public file needs no token and may be cached for ever; a private one is only for those who may see it, and is
    never cached.
    """
    file = await _visible(services, user, file_id)
    disposition = "inline" if file.is_picture else "attachment"
    name = quote(file_names.for_saving(file.name, file.media_type), safe="")
    served = _Served(file.sha256, file.media_type, f"{disposition}; filename*=UTF-8''{name}")
    return await _serve(request, services, file, served)


@router.get(
    "/v1/files/{file_id}/thumbnail",
    operation_id="getFileThumbnail",
    summary="A small copy of a picture",
    response_class=Response,
    responses=_bytes_of("The thumbnail", [pictures.THUMBNAIL_TYPE]),
    openapi_extra=TOKEN_OPTIONAL,
)
async def get_thumbnail(
    file_id: FileId, user: OptionalUser, request: Request, services: ServicesDep
) -> Response:
    """At most 320 pixels wide and high, upright, without the metadata of the original. Documents have none (404).

    For whom it is and how long it may be cached is the same as for the content.
    """
    file = await _visible(services, user, file_id)
    if file.thumbnail_sha256 is None:
        raise unknown("thumbnail")
    served = _Served(file.thumbnail_sha256, pictures.THUMBNAIL_TYPE, "inline")
    return await _serve(request, services, file, served)


@dataclass(frozen=True)
class _Served:
    sha256: str
    media_type: str
    disposition: str


async def _serve(request: Request, services: Services, file: File, served: _Served) -> Response:
    etag = f'"{served.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _CACHE_NEVER if file.private else _CACHE_FOR_EVER,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": served.disposition,
        # Nothing in a file may run, whatever a browser makes of it.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        content = await services.files.get(served.sha256)
    except KeyError as lost:
        raise Unavailable("the content of this file is missing from the file store") from lost
    return Response(content, media_type=served.media_type, headers=headers)


async def _visible(services: Services, user: Caller | None, file_id: str) -> File:
    """The file, if it may be seen. Raises NotFound, which does not tell whether there is one."""
    async with services.database.reading() as session:
        file = await files.get(session, file_id)
        if file is not None and (not file.private or await _is_for(session, user, file)):
            return file
    raise unknown("file")


async def _is_for(session: AsyncSession, user: Caller | None, file: File) -> bool:
    if user is None:
        return False
    relations = user.relations(owner=file.owner_id)
    if await file_access.is_shown(session, file.id, user.id):
        relations |= {Relation.AUDIENCE}
    return allowed(Action.FILE_VIEW, relations)
