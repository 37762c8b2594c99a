"""Starting the live slot of an app that sleeps: what the waker loads, and so little else.

That an app sleeps is a file, `paths.asleep(app)`: the front routes it with a mark (front.py), has it woken by the waker
(waker.py) and then sends the request to the slot itself. So there is no proxy in between, awake or not.

Whoever wakes an app does not wait for who works on it, which may take minutes. What both must not do at once, starting and
stopping the live slot and saying which one it is, they do under `lock.waking`.
"""

import time

from . import files, front, http1, lock, paths, slots, state
from .context import Failure

# How long an app may take to listen. The front waits a little longer (front.lua).
PATIENCE = 60


def start(ctx, app: str) -> int:
    """Starts the live slot; gives its port as soon as it takes connections. The caller holds `lock.waking`."""
    found = state.load(app)
    if found is None or found.live is None or found.moved_to:
        raise Failure("not-found", f"{app} is not on this node.", "cloudtool query lists the apps.")
    slots.start(ctx, found, found.live_slot, PATIENCE)
    port = found.port(found.live_slot)
    deadline = time.monotonic() + PATIENCE
    while not http1.listens(port):
        if time.monotonic() > deadline:
            raise Failure("start", f"{app} was woken and does not listen.", f"cloudtool logs {app}")
        time.sleep(0.002)
    return port


def settle(ctx, app: str) -> None:
    """An app that was started is awake: the front goes to it without asking. The caller holds `lock.waking`."""
    with lock.node(ctx):
        found = state.load(app)
        if found is None or not found.asleep:
            return
        found.awake = True
        front.route(found)
        files.remove(paths.asleep(app))
    watch(ctx, found)


def watch(ctx, found: state.State) -> None:
    """Somebody looks from now on whether the app is idle."""
    if found.idle_stop:
        slots.systemctl(ctx, "start", "--no-block", paths.IDLE_TIMER)
