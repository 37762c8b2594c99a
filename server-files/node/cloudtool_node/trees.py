"""A directory of an app as it is backed up: a list of all that is in it, and packs of the contents.

The list (`tree`) has one JSON line an entry. A pack has contents one after the other, each in chunks of a 4-byte length and
that many bytes, ended by a length of 0. A content that an earlier pack at the same destination has is not written again:
files whose inode, size and times are those of the last backup are not even read.

Kept are directories, files and symbolic links with their modes and times; everything belongs to the app's user again.
Sockets, pipes and devices are left out, hard links become files of their own.
"""

import hashlib
import json
import os
import shutil
import stat

from . import files
from .context import Failure

CHUNK = 1 << 20
MODE = 0o777


class Dumper:
    """`known`: where the contents of the last backup are, {sha256: pack}. `index`: its files, {path: [stat, sha256]}."""

    def __init__(self, ctx, root: str, pack: str, index: dict, known: dict):
        self.ctx = ctx
        self.root = root
        self.pack = pack
        self.index = index
        self.known = known
        self.new: set[str] = set()
        self.entries: list[dict] = []
        self.next_index: dict[str, list] = {}
        self.left_out = 0

    def write_pack(self, out) -> None:
        """Reads the tree, and writes what is new of it."""
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self._directory(root, "", out)
        finally:
            os.close(root)

    def write_tree(self, out) -> None:
        for entry in self.entries:
            out.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def packs(self) -> list[str]:
        """The packs that the files are in, the new one too if there is anything in it."""
        return sorted({self.known.get(entry["sha256"], self.pack) for entry in self.entries if "sha256" in entry})

    def counts(self) -> dict[str, int]:
        return count(self.entries)

    def _directory(self, fd: int, prefix: str, out) -> None:
        for name in sorted(os.listdir(fd)):
            self.ctx.check_aborted()
            path = prefix + name
            try:
                found = os.lstat(name, dir_fd=fd)
                if stat.S_ISDIR(found.st_mode):
                    self._enter(fd, name, path, found, out)
                elif stat.S_ISREG(found.st_mode):
                    self._file(fd, name, path, out)
                elif stat.S_ISLNK(found.st_mode):
                    self._add(path, found, link=os.readlink(name, dir_fd=fd))
                else:
                    self.left_out += 1
            except FileNotFoundError:
                # The app goes on while it is backed up.
                continue

    def _enter(self, fd, name, path, found, out) -> None:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        try:
            self._add(path, found, directory=True)
            self._directory(inner, f"{path}/", out)
        finally:
            os.close(inner)

    def _file(self, fd, name, path, out) -> None:
        # A file may become a pipe between two looks: opening that must not wait.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                self.left_out += 1
                return
            identity = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
            before = self.index.get(path)
            if before and before[0] == identity and before[1] in self.known:
                sha256, size = before[1], found.st_size
            else:
                sha256, size = self._content(file, out)
            self.next_index[path] = [identity, sha256]
            self._add(path, found, size=size, sha256=sha256)
        finally:
            os.close(file)

    def _content(self, file: int, out) -> tuple[str, int]:
        """Writes a content that no pack has. While nothing can be known, there is no sense in looking first."""
        if self.known or self.new:
            sha256, size = digest_of(file)
            if sha256 in self.known or sha256 in self.new:
                return sha256, size
            os.lseek(file, 0, os.SEEK_SET)
        digest, size = hashlib.sha256(), 0
        while data := os.read(file, CHUNK):
            digest.update(data)
            size += len(data)
            out.write(len(data).to_bytes(4, "big"))
            out.write(data)
        out.write(bytes(4))
        self.new.add(digest.hexdigest())
        return digest.hexdigest(), size

    def _add(self, path: str, found: os.stat_result, **more) -> None:
        self.entries.append({"path": path, "mode": found.st_mode & MODE, "mtime": found.st_mtime_ns, **more})


def placed(root: str, entries: list[dict]) -> dict[str, list]:
    """The files of a tree that is where it belongs: {path: [identity, sha256]}."""
    found = (entry for entry in entries if "sha256" in entry)
    return {entry["path"]: [identity(os.lstat(f"{root}/{entry['path']}")), entry["sha256"]] for entry in found}


def identity(found: os.stat_result) -> list[int]:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def digest_of(file: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while data := os.read(file, CHUNK):
        digest.update(data)
        size += len(data)
    return digest.hexdigest(), size


def count(entries) -> dict[str, int]:
    totals = {"files": 0, "bytes": 0, "directories": 0, "links": 0}
    for entry in entries:
        kind = "directories" if entry.get("directory") else "links" if "link" in entry else "files"
        totals[kind] += 1
        totals["bytes"] += entry.get("size", 0)
    return totals


class Loader:
    """Makes the tree in an empty directory that nobody else can write into. `earlier`: the directory of an earlier load and
    what that has `placed`; files that are still the same are linked from there. Nobody may be writing into them."""

    def __init__(self, ctx, root: str, uid: int, gid: int, earlier: list | None = None):
        self.ctx = ctx
        self.root = root
        self.owner = (uid, gid)
        self.earlier_root, self.earlier = earlier or ("", {})
        self.entries: list[dict] = []
        self.wanted: dict[str, list[dict]] = {}

    def read_tree(self, source) -> None:
        """Every entry is checked before the first is made."""
        directories = {""}
        seen = set()
        for line in source.lines():
            entry = parse_entry(line)
            path = entry["path"]
            if path in seen or path.rpartition("/")[0] not in directories:
                raise hostile(path)
            seen.add(path)
            if entry.get("directory"):
                directories.add(path)
            self.entries.append(entry)
        for entry in self.entries:
            if entry.get("directory"):
                os.mkdir(self._path(entry), 0o700)
            elif "link" in entry:
                os.symlink(entry["link"], self._path(entry))
            elif not self._take_over(entry):
                self.wanted.setdefault(entry["sha256"], []).append(entry)

    def _take_over(self, entry: dict) -> bool:
        """Its inode and times tell a file from every other, and from one that was changed."""
        known, sha256 = self.earlier.get(entry["path"]) or (None, None)
        path = f"{self.earlier_root}/{entry['path']}"
        try:
            if sha256 != entry["sha256"] or known != identity(os.lstat(path)):
                return False
            os.link(path, self._path(entry), follow_symlinks=False)
        except OSError:
            return False
        return True

    def read_pack(self, source) -> None:
        """Puts the contents that are wanted into their files."""
        partial = f"{self.root}.partial"
        while header := source.read(4):
            self.ctx.check_aborted()
            digest = hashlib.sha256()
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                while length := int.from_bytes(header, "big"):
                    data = source.read(length) if length <= CHUNK else b""
                    header_after = source.read(4)
                    if len(data) != length or len(header_after) != 4:
                        raise Failure("damaged", "A pack of files ends too early.", "Take another backup.")
                    digest.update(data)
                    files.write_all(file, data)
                    header = header_after
            finally:
                os.close(file)
            self._place(partial, self.wanted.pop(digest.hexdigest(), []))
        files.remove(partial)

    def finish(self) -> dict[str, int]:
        """Modes, times and owners, the innermost first; gives the counts of what is there."""
        if self.wanted:
            missing = next(iter(self.wanted.values()))[0]["path"]
            raise Failure("damaged", f"The content of {missing!r} is in no pack of the backup.", "Take another backup.")
        for entry in reversed(self.entries):
            path = self._path(entry)
            os.chown(path, *self.owner, follow_symlinks=False)
            if "link" not in entry:
                os.chmod(path, entry["mode"])
            os.utime(path, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=False)
        os.chown(self.root, *self.owner)
        os.chmod(self.root, 0o750)
        return count(self.entries)

    def _place(self, partial: str, entries: list[dict]) -> None:
        """The content becomes the first file; others with the same get a copy, for none may change with another."""
        for entry in entries[1:]:
            shutil.copyfile(partial, self._path(entry))
        if entries:
            os.rename(partial, self._path(entries[0]))

    def _path(self, entry: dict) -> str:
        return f"{self.root}/{entry['path']}"


def parse_entry(line: bytes) -> dict:
    try:
        entry = json.loads(line)
        path = entry["path"]
        parts = path.split("/")
        fine = (
            all(part not in ("", ".", "..") and "\0" not in part for part in parts)
            and isinstance(entry["mode"], int)
            and isinstance(entry["mtime"], int)
        )
        if "sha256" in entry:
            fine = fine and isinstance(entry["size"], int) and isinstance(entry["sha256"], str)
        elif "link" in entry:
            fine = fine and isinstance(entry["link"], str) and "\0" not in entry["link"]
        else:
            fine = fine and entry["directory"] is True
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure("damaged", "The list of files has a line that is no entry.", "Take another backup.") from None
    if not fine:
        raise hostile(path)
    entry["mode"] &= MODE
    return entry


def hostile(path) -> Failure:
    return Failure("damaged", f"The backup has the path {path!r}, which no backup of ours has.", "Nothing was changed.")
