"""The audit log: one line of JSON for each changing verb, whatever came of it."""

import json
import os
import time

from . import files, paths
from .times import now


def record(ctx, result: str, release: str | None, command: str | None = None) -> None:
    request = ctx.request
    entry = {
        "at": now(),
        "by": ctx.by,
        "verb": request.get("verb"),
        "app": request.get("app"),
        "location": request.get("location") or request.get("locations"),
        "release": release,
        "command": command,
        "seconds": round(time.monotonic() - ctx.started, 3),
        "result": result,
    }
    line = json.dumps({key: value for key, value in entry.items() if value is not None}, ensure_ascii=True) + "\n"
    try:
        fd = os.open(paths.AUDIT_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        # A node that was never set up, or a full disk: what was asked for matters more than its record.
        return
    try:
        files.write_all(fd, line.encode())
    except OSError:
        pass
    finally:
        os.close(fd)
