"""What went wrong last with an app, kept for `report`: who asked for what, and the error as the client was told it, without secrets."""

import json
import os

from . import changes, checks, files, paths, state
from .times import now

# Of these nothing is to be learned: what was asked for was wrong, or somebody else was at it.
PLAIN = {"bad-request", "busy", "changed", "not-found", "program"}


def keep(ctx, error: dict) -> None:
    """`error` is the event. A disk that is full, or an app that nobody knows, keeps nothing."""
    app = ctx.request.get("app")
    if error["code"] in PLAIN or not isinstance(app, str) or not checks.APP.fullmatch(app):
        return
    # Of a copy that did not come about nothing stays, so neither does this.
    if ctx.request.get("verb") == "clone" and state.load(app) is None:
        return
    try:
        entry = {
            "at": now(),
            "by": ctx.by,
            "verb": ctx.request.get("verb"),
            "program": paths.program_version(),
            "error": error,
            "changed": ctx.redacted(changes.asked_for(ctx.request, state.load(app))),
        }
        files.make_directory(paths.FAILURES, mode=0o700)
        files.write(paths.failure(app), json.dumps(entry))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # What failed matters more than its record.
        return


def load(app: str) -> dict | None:
    try:
        return json.loads(files.read(paths.failure(app)) or "null")
    except ValueError:
        return None


def exists(app: str) -> bool:
    return os.path.exists(paths.failure(app))
