"""Files that are written whole or not at all, and only when their content is not what it should be."""

import contextlib
import fcntl
import os
import stat
import time


def read(path: str) -> bytes | None:
    """The content of a regular file; None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def put(path: str, content: str | bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> bool:
    """Makes `path` a file with this content, mode and owner; says whether anything had to be done.

    The new file takes the old one's place by rename, so whoever reads it, and whatever kills us, sees one of the two.
    """
    if isinstance(content, str):
        content = content.encode()
    if read(path) == content and not os.path.islink(path):
        return own(path, mode, uid, gid)
    new = f"{path}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), uid, gid)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    return True


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> bool:
    """Makes `path` a directory with this mode and owner; says whether anything had to be done."""
    try:
        os.mkdir(path, mode)
        made = True
    except FileExistsError:
        made = False
    return own(path, mode, uid, gid) or made


def link(path: str, target: str) -> bool:
    """Makes `path` a symbolic link to `target`; says whether anything had to be done."""
    if os.path.islink(path) and os.readlink(path) == target:
        return False
    new = f"{path}.new"
    if os.path.lexists(new):
        os.unlink(new)
    os.symlink(target, new)
    os.replace(new, path)
    return True


def own(path: str, mode: int, uid: int, gid: int) -> bool:
    """Mode and owner of what is there, never through a symbolic link."""
    now = os.lstat(path)
    changed = False
    if (now.st_uid, now.st_gid) != (uid, gid):
        os.lchown(path, uid, gid)
        changed = True
    if stat.S_IMODE(now.st_mode) != mode or changed:
        os.chmod(path, mode)
        changed = True
    return changed


@contextlib.contextmanager
def umask(mask: int):
    """For programs of others that are run, which expect the usual 022 and not the strict one of this program."""
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


@contextlib.contextmanager
def flock(ctx, path: str):
    """Holds a lock file, which the kernel frees when we die; waits for whoever has it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                ctx.check_aborted()
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)
