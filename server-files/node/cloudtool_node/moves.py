"""What an app that moves is on the other node: on the one that it has left an address to which its requests are sent on, on the
one that it goes to a copy that is nobody's until it has arrived."""

from . import slots
from .context import Failure
from .state import State


def require_here(current: State, arriving: bool = False) -> None:
    """`arriving`: it need not have arrived."""
    if current.moved_to:
        raise Failure(
            "conflict",
            f"{current.app} has moved to the node {current.moved_to}; this one only sends its requests on.",
            "Name the node it is on with --node.",
        )
    if current.fields.get("arriving") and not arriving:
        raise Failure(
            "conflict",
            f"{current.app} is on its way to this node, and still serves where it was.",
            "Move it again. If the other node is lost: cloudtool backup, remove --with-data, update, then restore.",
        )


def require_live(current: State, arriving: bool = False) -> slots.Launch:
    """The release that serves here."""
    require_here(current, arriving)
    launch = slots.load_launch(current.app, current.live) if current.live else None
    if launch is None:
        raise nothing_serves(current)
    return launch


def nothing_serves(current: State) -> Failure:
    return Failure("not-found", f"{current.app} has no release that serves.", "Update it first.")
