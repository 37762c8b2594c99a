"""Files of the live release as they are, for `diff`."""

import base64
import json
import os
import stat
import zlib

from . import basis, checks, files, lookup, paths
from .context import Failure

# Who compares larger ones does not read what differs. The client asks for no more.
LARGEST = 1 << 20
LARGEST_TOGETHER = 16 << 20


def contents(ctx, _payload) -> dict:
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    release = checks.release_id(ctx.request.get("release"))
    basis.require(current, {"live": release})
    asked = listed(current.app, release, checks.texts(ctx.request.get("paths"), "The paths"))
    root = paths.release(current.app, release)
    return {
        "app": current.app,
        "release": release,
        "files": {path: packed(read(root, path, size)) for path, size in asked.items()},
    }


def listed(app: str, release: str, wanted: list[str]) -> dict[str, int]:
    """The sizes of files, of which the release must have each: it is its manifest that says what is a file of it."""
    manifest = json.loads(files.read(paths.manifest(app, release)) or "{}")
    sizes = {entry["path"]: entry["size"] for entry in manifest.get("files", [])}
    found = {}
    for path in wanted:
        if checks.relative_path(path) not in sizes:
            raise Failure("not-found", f"{release} of {app} has no file {path!r}.")
        found[path] = checks.whole_number(sizes[path], f"The size of {path!r}", 0, LARGEST)
    checks.whole_number(sum(found.values()), "The size of all files together", 0, LARGEST_TOGETHER)
    return found


def read(root: str, path: str, size: int) -> bytes:
    """Never through a link, whatever has become of the directory."""
    fd = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        real = os.path.realpath(f"/proc/self/fd/{fd}")
        found = os.fstat(fd)
        if real != f"{os.path.realpath(root)}/{path}" or not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise Failure("internal", f"{path!r} is no longer what the release was made of.")
        return file.read(size)


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 1)).decode()
