"""What an app's releases are and were, newest first."""

from . import checks, rollback

SHOWN = ("release", "at", "by", "note", "seconds", "result", "files", "bytes", "message")


def releases(ctx, _payload) -> dict:
    current = rollback.existing(checks.app_name(ctx.request.get("app")))
    found = []
    for entry in reversed(current.releases):
        found.append({name: entry.get(name) for name in SHOWN} | {"result": current.result(entry)})
    return {"app": current.app, "live": current.live, "previous": current.previous, "releases": found}
