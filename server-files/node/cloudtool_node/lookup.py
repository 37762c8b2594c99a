"""Which app a request is about."""

from . import checks, state
from .context import Failure


def app_of(request: dict) -> state.State:
    """The app that is named, or that serves the location."""
    if request.get("location") is None:
        return existing(checks.app_name(request.get("app")))
    location = checks.location(request["location"])
    current = owner_of(location)
    if current is None:
        raise Failure(
            "not-found", f"No app of the node serves {location}.", "cloudtool query lists apps and locations."
        )
    return current


def owner_of(location: str) -> state.State | None:
    """The app that has a location; of two, as a kill between two writes leaves them, the one that claimed it last."""
    owners = [found for found in state.load_all() if location in found.locations]
    return max(owners, key=lambda found: found.claimed, default=None)


def existing(app: str) -> state.State:
    current = state.load(app)
    if current is None:
        raise Failure("not-found", f"The node has no app {app}.", "cloudtool query lists the apps.")
    return current
