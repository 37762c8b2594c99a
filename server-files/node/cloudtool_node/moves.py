"""What an app that has moved to another node is on the one that it left: an address to which its requests are sent on."""

from .context import Failure
from .state import State


def require_here(current: State) -> None:
    if current.moved_to:
        raise Failure(
            "conflict",
            f"{current.app} has moved to the node {current.moved_to}; this one only sends its requests on.",
            "Name the node it is on with --node.",
        )
