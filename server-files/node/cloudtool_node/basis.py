"""What a plan is made from: all of an app on the node that its next release builds on. It travels with the plan, and comes
back with the request that carries the plan out."""

import os

from . import paths, values
from .context import Failure
from .state import State

WHAT_ELSE = {
    "locations": "It has other locations now.",
    "shares": "It works on other data now: they were restored or cleared.",
    "set": "Something else is set for it now (cloudtool config).",
}


def of(app: str, found: State | None) -> dict:
    version = values.current(found) if found else values.waiting(app)
    return {
        "live": found.live if found else None,
        "locations": list(found.locations) if found else [],
        "shares": dict(found.uses.shares) if found else {},
        "set": edition(app, version),
    }


def edition(app: str, version: str | None) -> str | None:
    """A word that is another one when the values are, with nothing of them in it. Only the values before the first release
    change under their name: theirs has the time of the file."""
    if version != values.BEFORE_THE_FIRST_RELEASE:
        return version
    return f"{version}-{os.stat(paths.values(app, version)).st_mtime_ns}"


def require(current: State, expect) -> None:
    """Refuses when the app is no longer what the client has seen; `expect` may have a part of that only."""
    if not isinstance(expect, dict):
        return
    found = of(current.app, current)
    if "live" in expect and expect["live"] != found["live"]:
        raise changed(
            f"{current.app} serves {found['live'] or 'nothing'} now, not {expect['live'] or 'nothing'}:"
            " somebody else has updated it."
        )
    for key, what in WHAT_ELSE.items():
        if key in expect and expect[key] != found[key]:
            raise changed(f"{current.app} has changed meanwhile. {what}")


def changed(message: str) -> Failure:
    return Failure("changed", message, "Run the command again.")
