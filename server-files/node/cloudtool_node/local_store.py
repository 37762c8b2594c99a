"""A directory of the node as a store: snapshots, and what is on its way to a copy of an app on the same node."""

import contextlib
import errno
import os

from . import files
from .context import Failure
from .store import OBJECT, Store

CHUNK = 1 << 20
# What is put aside must never be what fills the disk.
ROOM = 512 << 20


class LocalStore(Store):
    """`directory` need not be there yet. Only root reads it."""

    def __init__(self, directory: str, app: str):
        self.directory = directory
        self.app = app
        self.name = directory

    def list(self) -> dict[str, int]:
        names = [name for name in files.names(self.directory) if OBJECT.fullmatch(name)]
        return {name: os.lstat(f"{self.directory}/{name}").st_size for name in names}

    def read(self, name: str, size: int):
        try:
            with open(f"{self.directory}/{name}", "rb") as file:
                while size > 0 and (data := file.read(min(size, CHUNK))):
                    size -= len(data)
                    yield data
        except FileNotFoundError:
            raise Failure("store", f"{self.directory}/{name} is not there.") from None

    @contextlib.contextmanager
    def writer(self, name: str):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        writer = LocalWriter(self.directory, name)
        try:
            yield writer
        finally:
            writer.close()

    def delete(self, name: str) -> None:
        files.remove(f"{self.directory}/{name}")


class LocalWriter:
    """A file that gets its name when it is whole and on the disk."""

    def __init__(self, directory: str, name: str):
        self.directory = directory
        self.path = f"{directory}/{name}"
        self.partial = f"{directory}/.{name}.partial"
        self.fd = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.committed = False

    def write(self, data) -> None:
        found = os.fstatvfs(self.fd)
        if found.f_bavail * found.f_frsize < ROOM + len(data):
            raise OSError(errno.ENOSPC, f"less than {ROOM >> 20} MB are left", self.path)
        files.write_all(self.fd, data)

    def commit(self) -> None:
        os.fsync(self.fd)
        os.rename(self.partial, self.path)
        files.fsync_directory(self.directory)
        self.committed = True

    def close(self) -> None:
        os.close(self.fd)
        if not self.committed:
            files.remove(self.partial)
