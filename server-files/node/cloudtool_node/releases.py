"""What an app's releases are and were, newest first."""

import calendar
import time

from . import checks, lookup

SHOWN = ("release", "at", "by", "note", "seconds", "result", "files", "bytes", "message")


def releases(ctx, _payload) -> dict:
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    found = []
    for entry in reversed(current.releases):
        told = {name: entry.get(name) for name in SHOWN}
        found.append(told | {"result": current.result(entry), "snapshot": snapshot(entry)})
    return {"app": current.app, "live": current.live, "previous": current.previous, "releases": found}


def snapshot(entry: dict) -> dict | None:
    """The data as they were before the release, with its age in seconds: that much of writes a return to it loses."""
    found = entry.get("snapshot")
    if not found:
        return None
    taken = calendar.timegm(time.strptime(found["id"], "%Y%m%dT%H%M%SZ"))
    return {**found, "age": max(0, int(time.time()) - taken)}
