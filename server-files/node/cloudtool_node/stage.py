"""Makes the directory of a new release: what is on the node already is linked, the rest comes with the payload.

Everything happens in a directory beside the releases that gets its name only when it is complete, verified and on the
disk. The files of a release never change, so that releases can share them.
"""

import errno
import hashlib
import json
import os
import zlib

from . import checks, files, paths, users
from .context import Failure

MODES = {"0644": 0o640, "0755": 0o750}
DIRECTORY_MODE = 0o750
CHUNK = 1 << 20
MOST_FILLING = 1 << 16
# Up to this many new files are each waited for; beyond, one sync of everything is faster.
SINGLE_SYNCS = 64


class Manifest:
    """The list of what a release is made of, checked."""

    def __init__(self, fields: dict):
        if not isinstance(fields, dict):
            raise checks.bad("The manifest is not an object.")
        self.fields = fields
        self.files = checks.objects(fields.get("files"), "The manifest's files")
        self.links = checks.objects(fields.get("links"), "The manifest's links")
        self.empty = checks.texts(fields.get("dirs"), "The manifest's dirs")
        seen = set()
        for entry in self.files:
            self._own(entry.get("path"), seen)
            if str(entry.get("mode")) not in MODES or not checks.SHA256.fullmatch(str(entry.get("sha256"))):
                raise checks.bad(f"The manifest's entry of {entry.get('path')!r} is not understood.")
            checks.whole_number(entry.get("size"), f"The size of {entry['path']!r}", 0, 1 << 50)
        for entry in self.links:
            checks.link_target(self._own(entry.get("path"), seen), entry.get("target"))
        for path in self.empty:
            self._own(path, seen)

    @staticmethod
    def _own(path, seen: set) -> str:
        checks.relative_path(path)
        if path in seen:
            raise checks.bad(f"The manifest names {path!r} twice.")
        seen.add(path)
        return path

    def directories(self) -> list[str]:
        """Every directory, parents first."""
        found = set(self.empty)
        for entry in [*self.files, *self.links]:
            found.add(os.path.dirname(entry["path"]))
        for path in list(found):
            while path := os.path.dirname(path):
                found.add(path)
        return sorted(found - {""})

    @property
    def bytes(self) -> int:
        return sum(entry["size"] for entry in self.files)


class Staged:
    """What staging did, for the answer."""

    def __init__(self):
        self.uploaded_files = 0
        self.uploaded_bytes = 0
        self.linked = 0


def have(app: str, releases: list[str]) -> dict[tuple[str, str], str]:
    """Content and mode of every file of some releases, and a path where each is found."""
    found = {}
    for release in releases:
        text = files.read(paths.manifest(app, release))
        if text is None:
            continue
        root = paths.release(app, release)
        for entry in json.loads(text)["files"]:
            found[entry["sha256"], entry["mode"]] = f"{root}/{entry['path']}"
    return found


def stage(ctx, app: str, release: str, manifest: Manifest, payload, kept: list[str]) -> Staged:
    """Puts the release at its place. A failure leaves nothing behind."""
    partial = f"{paths.releases(app)}/.{release}.partial"
    files.remove_tree(partial)
    try:
        staged = _Stage(ctx, app, partial, manifest).fill(payload, have(app, kept))
        files.write(paths.manifest(app, release), json.dumps(manifest.fields), durable=True)
        os.rename(partial, paths.release(app, release))
        files.fsync_directory(paths.releases(app))
    except OSError as error:
        files.remove_tree(partial)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Failure("stage", f"The release could not be written: {error}.") from error
    except BaseException:
        files.remove_tree(partial)
        raise
    return staged


class _Stage:
    def __init__(self, ctx, app: str, root: str, manifest: Manifest):
        self.ctx = ctx
        self.root = root
        self.manifest = manifest
        self.gid = users.gid(app)
        self.staged = Staged()
        self.missing: dict[str, list[dict]] = {}

    def fill(self, payload, known: dict[tuple[str, str], str]) -> Staged:
        self._make_directories()
        for entry in self.manifest.files:
            if not self._link(entry, known):
                self.missing.setdefault(entry["sha256"], []).append(entry)
        self._check_space()
        self._receive(payload)
        self._make_links()
        self._reach_disk()
        return self.staged

    def _make_directories(self) -> None:
        for path in [self.root, *(f"{self.root}/{path}" for path in self.manifest.directories())]:
            os.mkdir(path, 0o700)
            os.chown(path, 0, self.gid)
            os.chmod(path, DIRECTORY_MODE)

    def _link(self, entry: dict, known: dict[tuple[str, str], str]) -> bool:
        source = known.get((entry["sha256"], entry["mode"]))
        if source is None:
            return False
        try:
            os.link(source, f"{self.root}/{entry['path']}", follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            self._copy(source, entry)
        self.staged.linked += 1
        return True

    def _copy(self, source: str, entry: dict) -> None:
        with open(source, "rb") as file:
            target = self._create(entry)
            try:
                while data := file.read(CHUNK):
                    files.write_all(target, data)
            finally:
                os.close(target)

    def _create(self, entry: dict) -> int:
        # The directory is root's alone and has no links in it yet, so a path leads where it says.
        fd = os.open(f"{self.root}/{entry['path']}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchown(fd, 0, self.gid)
        os.fchmod(fd, MODES[entry["mode"]])
        return fd

    def _check_space(self) -> None:
        needed = sum(entries[0]["size"] for entries in self.missing.values())
        found = os.statvfs(self.root)
        free = found.f_bavail * found.f_frsize
        if needed > free:
            raise Failure(
                "disk",
                f"The release needs {needed >> 20} MB, the node has {free >> 20} MB left.",
                "Free some space: cloudtool clean-node.",
            )

    def _receive(self, payload) -> None:
        announced = {entry["sha256"] for entry in self.manifest.files}
        for name, size, content in members(payload):
            entries = self.missing.pop(name, None)
            if entries:
                self._write(name, size, content, entries)
            elif name in announced:
                # It is here already: another update brought it, or the client did not ask what is.
                for _ in content:
                    self.ctx.check_aborted()
            else:
                raise Failure("stage", f"The upload has a file nobody asked for: {name}.")
            self.ctx.check_aborted()
        if self.missing:
            entries = next(iter(self.missing.values()))
            raise Failure("stage", f"The upload lacks {len(self.missing)} files, one is {entries[0]['path']!r}.")

    def _write(self, name: str, size: int, content, entries: list[dict]) -> None:
        first = entries[0]
        if size != first["size"]:
            raise Failure("stage", f"{first['path']!r} has {size} bytes, {first['size']} were announced.")
        digest = hashlib.sha256()
        fd = self._create(first)
        try:
            for data in content:
                digest.update(data)
                files.write_all(fd, data)
            if size >= CHUNK:
                # Linux begins to write it to the disk now, so that the wait at the end is short.
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
        if digest.hexdigest() != name:
            raise Failure("stage", f"{first['path']!r} arrived with another content than was announced.")
        self.staged.uploaded_files += 1
        self.staged.uploaded_bytes += size
        known = {(name, first["mode"]): f"{self.root}/{first['path']}"}
        for entry in entries[1:]:
            if (name, entry["mode"]) in known:
                self._link(entry, known)
            else:
                self._copy(f"{self.root}/{first['path']}", entry)
                known[name, entry["mode"]] = f"{self.root}/{entry['path']}"

    def _make_links(self) -> None:
        for entry in self.manifest.links:
            os.symlink(entry["target"], f"{self.root}/{entry['path']}")
        root = os.path.realpath(self.root)
        for entry in self.manifest.links:
            # Links of links: each may stay inside as text, and the chain of them still lead out.
            if not (os.path.realpath(f"{root}/{entry['path']}") + "/").startswith(root + "/"):
                raise checks.bad(f"The symbolic link {entry['path']!r} leaves the app's directory.")

    def _reach_disk(self) -> None:
        if self.staged.uploaded_files > SINGLE_SYNCS:
            os.sync()
            return
        fresh = {entry["path"] for entry in self.manifest.files if self._is_new(entry)}
        for path in fresh:
            fd = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
            os.fsync(fd)
            os.close(fd)
        for path in ["", *self.manifest.directories()]:
            files.fsync_directory(f"{self.root}/{path}")

    def _is_new(self, entry: dict) -> bool:
        return self.staged.uploaded_files > 0 and os.lstat(f"{self.root}/{entry['path']}").st_nlink == 1


def members(payload):
    """The files of the payload: (name, size, chunks of content). A tar of plain files, its first part gzip-compressed;
    anything else that a tar can hold is refused, so nothing needs to be interpreted."""
    stream = _Unpacked(payload)
    while not stream.ended():
        header = stream.exactly(512)
        if header.count(0) == 512:
            break
        name, size = _header(header)
        yield name, size, stream.content(size)
        stream.exactly(-size % 512)
    # A tar is filled up with zeros. Nothing else may follow, and not more of it: few bytes can be made to unpack to very many.
    rest = 0
    while data := stream.some(CHUNK):
        rest += len(data)
        if rest > MOST_FILLING or data.count(0) != len(data):
            raise Failure("stage", "The upload goes on behind its end.")


def _header(block: bytes) -> tuple[str, int]:
    checksum = sum(block[:148]) + 8 * 32 + sum(block[156:])
    name = block[:100].rstrip(b"\0").decode("latin-1")
    if _number(block[148:156]) != checksum:
        raise Failure("stage", "The upload is damaged.")
    if block[156:157] not in (b"0", b"\0") or not checks.SHA256.fullmatch(name):
        raise Failure("stage", f"The upload has something in it that is not a plain file: {name!r}.")
    return name, _number(block[124:136])


def _number(field: bytes) -> int:
    """A number in a tar header: octal text, or binary where that is too short (files above 8 GB)."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise Failure("stage", "The upload is damaged.") from None


class _Unpacked:
    """The bytes of the tar: those of one gzip member, and then what follows it as it is. Never much of it in memory."""

    def __init__(self, payload):
        self.payload = payload
        self.inflate = zlib.decompressobj(wbits=31)
        self.begun = False
        self.input = b""
        self.output = b""

    def ended(self) -> bool:
        """Fills the output; whether there is nothing more to come."""
        while not self.output:
            if not self.input:
                self.input = self.payload.read(CHUNK)
                if not self.input:
                    if self.begun and not self.inflate.eof:
                        raise Failure("stage", "The upload ended in the middle.")
                    return True
                self.begun = True
            if self.inflate.eof:
                self.output, self.input = self.input, b""
            else:
                self._inflate()
        return False

    def _inflate(self) -> None:
        try:
            self.output = self.inflate.decompress(self.input, CHUNK)
        except zlib.error as error:
            raise Failure("stage", f"The upload is damaged: {error}.") from error
        self.input = self.inflate.unused_data if self.inflate.eof else self.inflate.unconsumed_tail

    def some(self, size: int) -> bytes:
        """Up to `size` bytes, nothing at the end."""
        if self.ended():
            return b""
        data, self.output = self.output[:size], self.output[size:]
        return data

    def exactly(self, size: int) -> bytes:
        return b"".join(self.content(size))

    def content(self, size: int):
        while size > 0:
            data = self.some(size)
            if not data:
                raise Failure("stage", "The upload ended in the middle.")
            size -= len(data)
            yield data
