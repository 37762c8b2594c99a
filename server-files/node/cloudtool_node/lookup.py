"""Which app a request is about."""

from . import checks, state
from .context import Failure


def app_of(request: dict) -> state.State:
    """The app that is named, or that serves the location."""
    if request.get("location") is None:
        return existing(checks.app_name(request.get("app")))
    location = checks.location(request["location"])
    for current in state.load_all():
        if location in current.locations:
            return current
    raise Failure("not-found", f"No app of the node serves {location}.", "cloudtool query lists apps and locations.")


def existing(app: str) -> state.State:
    current = state.load(app)
    if current is None:
        raise Failure("not-found", f"The node has no app {app}.", "cloudtool query lists the apps.")
    return current
