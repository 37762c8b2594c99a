"""Small file operations that survive a kill: whole files by rename, trees removed without following links."""

import errno
import os
import stat


def write(
    path: str, content: str | bytes, *, mode: int = 0o600, uid: int = -1, gid: int = -1, durable: bool = False
) -> bool:
    """Makes `path` a file with this content, mode and owner; says whether anything had to be done. A new file takes the
    old one's place by rename, so whoever reads it, and whatever kills us, sees one of the two. `durable` waits for the disk."""
    data = content.encode() if isinstance(content, str) else content
    if read_bytes(path) == data and not os.path.islink(path):
        return own(path, mode, uid, gid)
    partial = f"{path}.new-{os.getpid()}"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(fd, data)
            os.fchown(fd, uid, gid)
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


def make_directory(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> bool:
    """Makes `path` a directory with exactly this owner and mode, and leaves alone what is in it; says whether anything
    had to be done."""
    try:
        os.mkdir(path, 0o700)
        made = True
    except FileExistsError:
        made = False
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotADirectoryError(20, "is not a directory", path)
    return own(path, mode, uid, gid) or made


def make_link(path: str, target: str) -> bool:
    """Makes `path` a symbolic link to `target`; says whether anything had to be done."""
    if os.path.islink(path) and os.readlink(path) == target:
        return False
    partial = f"{path}.new-{os.getpid()}"
    os.symlink(target, partial)
    os.replace(partial, path)
    return True


def own(path: str, mode: int, uid: int, gid: int) -> bool:
    """Gives what is there this mode and owner (-1: whoever it is), never through a link; says whether it had to."""
    found = os.lstat(path)
    strange = uid not in (-1, found.st_uid) or gid not in (-1, found.st_gid)
    if strange:
        os.lchown(path, uid, gid)
    # A change of the owner takes the set-id bits away.
    if strange or stat.S_IMODE(found.st_mode) != mode:
        os.chmod(path, mode)
        return True
    return False


def read(path: str) -> str | None:
    """The text of a file; None when there is none."""
    content = read_bytes(path)
    return None if content is None else content.decode()


def read_bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
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


def move(path: str, to: str) -> None:
    """A new name that survives a power cut."""
    os.rename(path, to)
    fsync_directory(os.path.dirname(to))


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
    device = os.fstat(fd).st_dev
    for name in os.listdir(fd):
        found = os.lstat(name, dir_fd=fd)
        if stat.S_ISDIR(found.st_mode):
            if found.st_dev != device:
                raise OSError(errno.EBUSY, "something is mounted there", name)
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
