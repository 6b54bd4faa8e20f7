"""The file store: bytes under the SHA-256 of their content, in a folder or in S3."""

from __future__ import annotations

import hashlib
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import NotFoundError as NoSuchObject
from obstore.store import LocalStore, ObjectStore, from_url

from domain.errors import Unavailable
from runtime.settings import Settings


class FileStore:
    """Content-addressed bytes: what is stored never changes, and storing it again does nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def of(cls, settings: Settings) -> FileStore:
        """The store that the settings name; credentials of S3 come from the usual AWS_… variables."""
        if settings.files_url:
            return cls(from_url(settings.files_url))
        return cls.local(settings.data_dir / "files")

    @classmethod
    def local(cls, folder: Path) -> FileStore:
        """A store in a local folder, made when missing."""
        return cls(LocalStore(folder.absolute(), mkdir=True))

    async def put(self, content: bytes) -> str:
        """Stores the bytes and tells their SHA-256 in hexadecimal. Raises Unavailable."""
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            await obstore.put_async(self._store, _path(sha256), content, mode="create")
        except AlreadyExistsError:
            pass
        except (BaseError, OSError) as lost:
            raise Unavailable("the file store cannot be reached") from lost
        return sha256

    async def get(self, sha256: str) -> bytes:
        """The bytes with this SHA-256. Raises Unavailable, and KeyError when nothing is stored under it."""
        try:
            found = await obstore.get_async(self._store, _path(sha256))
            return bytes(await found.bytes_async())
        except (NoSuchObject, FileNotFoundError):
            raise KeyError(sha256) from None
        except (BaseError, OSError) as lost:
            raise Unavailable("the file store cannot be reached") from lost


def _path(sha256: str) -> str:
    # Two levels keep folders small on a local disk.
    return f"sha256/{sha256[:2]}/{sha256}"
