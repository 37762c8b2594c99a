"""What an app that has moved to another node is on the one that it left: an address to which its requests are sent on."""

from . import slots
from .context import Failure
from .state import State


def require_here(current: State) -> None:
    if current.moved_to:
        raise Failure(
            "conflict",
            f"{current.app} has moved to the node {current.moved_to}; this one only sends its requests on.",
            "Name the node it is on with --node.",
        )


def require_live(current: State) -> slots.Launch:
    """The release that serves here."""
    require_here(current)
    launch = slots.load_launch(current.app, current.live) if current.live else None
    if launch is None:
        raise nothing_serves(current)
    return launch


def nothing_serves(current: State) -> Failure:
    return Failure("not-found", f"{current.app} has no release that serves.", "Update it first.")
