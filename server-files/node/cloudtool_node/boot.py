"""What cloudtool-boot.service does before the front starts: routes from the states, live slots and sleepers started.

It runs while systemd brings the node up, so it only asks for starts and waits for none.
"""

import contextlib
import os

from . import expiry, front, paths, processes, slots, state
from .context import Context, Failure


def boot() -> int:
    ctx = Context.for_nobody("boot", "root")
    states = state.load_all()
    units = []
    # A full disk keeps nobody from serving: what cannot be written is what it was when the node went down.
    with reported():
        os.makedirs(paths.FRONT, 0o755, exist_ok=True)
        front.write_files(front.desired(states))
    for found in states:
        units += wanted(found)
        with reported():
            configure(found)
            units += processes.at_boot(found)
    try:
        if units:
            slots.systemctl(ctx, "start", "--no-block", *units)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0


def wanted(found: state.State) -> list[str]:
    """The units of an app that run: the live slot, the socket that wakes the other one, the timers of its end and its backups."""
    ending = expiry.wanted(found)
    if found.live is None or found.moved_to:
        return ending
    units = [*ending, *awake(found)]
    units += [paths.wake_socket(found.app, found.idle_slot)] if found.previous else []
    return units + ([paths.backup_timer(found.app)] if os.path.exists(paths.backup_plan(found.app)) else [])


def awake(found: state.State) -> list[str]:
    """Whoever slept goes on sleeping."""
    if found.asleep:
        return []
    return [paths.app_unit(found.app, found.live_slot), *([paths.IDLE_TIMER] if found.idle_stop else [])]


def configure(found: state.State) -> None:
    slots.configure_waking(found)
    for slot, release in found.fields["slots"].items():
        launch = slots.load_launch(found.app, release) if release else None
        # One that does not fit was about to be brought up to date when the node went down: its slot's files are right.
        if launch and launch.fits(found):
            slots.configure(found, slot, launch)


@contextlib.contextmanager
def reported():
    """Says what went wrong, to the journal, and goes on."""
    try:
        yield
    except OSError as error:
        print(f"cloudtool: {error}")
