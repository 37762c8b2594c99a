"""Small file operations that survive a kill: whole files by rename, trees removed without following links."""

import os
import stat


def write(path: str, content: str, *, mode: int = 0o600, gid: int = -1, durable: bool = False) -> bool:
    """Puts `content` at `path` by rename; says whether anything changed. `durable` waits for the disk."""
    data = content.encode()
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                return False
    except FileNotFoundError:
        pass
    partial = f"{path}.new-{os.getpid()}"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(fd, data)
            os.fchown(fd, -1, gid)
            os.fchmod(fd, mode)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, path)
    except BaseException:
        remove(partial)
        raise
    if durable:
        fsync_directory(os.path.dirname(path))
    return True


def write_all(fd: int, data) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_directory(path: str) -> None:
    """Makes renames and new names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: str, *, mode: int, uid: int = 0, gid: int = 0) -> None:
    """A directory with exactly this owner and mode; what is in it is left alone."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "is not a directory", path)
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    if stat.S_IMODE(found.st_mode) != mode or (found.st_uid, found.st_gid) != (uid, gid):
        os.chmod(path, mode)


def read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def names(path: str) -> list[str]:
    """What a directory holds, sorted; nothing when it does not exist."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def open_foreign(path: str, flags: int = os.O_RDONLY) -> int | None:
    """Opens a regular file in a directory that belongs to somebody else, who may have put anything in its place: a link,
    a pipe that would make us wait for ever, another name of a file of ours. None when it is none, or not there."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    except OSError:
        return None
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return fd
    os.close(fd)
    return None


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_tree(path: str) -> int:
    """Removes a tree, a file or nothing; gives the bytes freed. By directory descriptors, so that nobody who may
    write in the tree can lead the removal elsewhere with a link."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(path)
        return freed(found)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        size = _empty(fd)
    finally:
        os.close(fd)
    os.rmdir(path)
    return size


def _empty(fd: int) -> int:
    size = 0
    for name in os.listdir(fd):
        found = os.lstat(name, dir_fd=fd)
        if stat.S_ISDIR(found.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            try:
                size += _empty(inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=fd)
        else:
            os.unlink(name, dir_fd=fd)
            size += freed(found)
    return size


def freed(found: os.stat_result) -> int:
    return found.st_size if found.st_nlink == 1 else 0


def tree_size(path: str) -> int:
    """The bytes that removing `path` would free (files that are also linked from elsewhere do not count)."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0
    if not stat.S_ISDIR(found.st_mode):
        return freed(found)
    with os.scandir(path) as entries:
        return sum(tree_size(entry.path) for entry in entries)
