"""Brings an app from wherever a kill, a full disk or a power cut left it to what its state says. Every changing verb
begins with it, under the app's lock, and a failed one ends with it."""

import time

from . import commands, files, front, http1, lock, maintenance, paths, processes, shares, slots, values
from .context import Failure
from .state import SLOTS, State, load_all

LISTEN_SECONDS = 5


def recover(ctx, state: State) -> list[str]:
    """Gives what it had to mend, in words.

    A kill may have left the front leading to a release the state knows nothing of. So nothing that can still be seen
    is taken away before the live slot runs and the front leads to it.
    """
    if state.moved_to:
        return recover_moved(ctx, state)
    forget_missing(state)
    mended = remove_unfinished(state)
    slots.configure_waking(state)
    units = Units(ctx, state.app)
    mended += settle_live(ctx, state, units)
    changed = settle_front(ctx, state)
    if changed:
        mended.append(f"put {changed} routes right")
    mended += settle_others(ctx, state, units, seen=changed > 0)
    launch = shares.launch_of(ctx, state, state.live) if state.at_work else None
    mended += processes.settle(ctx, state, launch)
    mended += remove_unknown(state)
    if state.live:
        # A switch to other shares or another login may have been cut short before this was kept.
        shares.launch_of(ctx, state, state.live)
    mended += shares.destroy_doomed(ctx, state)
    return mended


def recover_moved(ctx, state: State) -> list[str]:
    """Its requests go where it is now, and nothing of it runs here."""
    changed = settle_front(ctx, state)
    slots.systemctl(ctx, "stop", *slots.all_units(state.app), check=False)
    processes.forget(ctx, state.app)
    return [f"put {changed} routes right"] if changed else []


def give_up(ctx, state: State, slot: str) -> None:
    """A candidate that failed: it ends, and the app is put back to what its state says."""
    try:
        with ctx.shielded():
            slots.kill(ctx, paths.app_unit(state.app, slot))
            recover(ctx, state)
    except (Failure, OSError) as second:
        ctx.warning(f"Not all could be put back now, the next update will: {second}")


class Units:
    """What systemd says of an app's units, asked once."""

    def __init__(self, ctx, app: str):
        self.found = slots.show(ctx, [*slots.all_units(app), paths.hook_unit(app)])

    def active(self, unit: str) -> bool:
        return self._state(unit) in ("active", "activating", "reloading")

    def failed(self) -> list[str]:
        return [unit for unit in self.found if self._state(unit) == "failed"]

    def release(self, unit: str) -> str | None:
        """The release a slot runs: what it was started with, whatever its files say since."""
        try:
            with open(f"/proc/{self.found[unit]['MainPID']}/environ", "rb") as file:
                values = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
        except (OSError, KeyError):
            return None
        return values.get(b"CLOUDTOOL_RELEASE", b"").decode()

    def _state(self, unit: str) -> str | None:
        return self.found.get(unit, {}).get("ActiveState")


def forget_missing(state: State) -> None:
    present = set(files.names(paths.releases(state.app)))
    for entry in state.releases:
        if entry["result"] == "kept" and entry["release"] not in present:
            entry["result"] = "pruned"


def remove_unfinished(state: State) -> list[str]:
    """What nothing can have been started from; first of all, because the disk may be full of it."""
    app = state.app
    mended = []
    for name in files.names(paths.releases(app)):
        if name.startswith("."):
            files.remove_tree(f"{paths.releases(app)}/{name}")
            mended.append(f"removed the unfinished {name.split('.')[1]}")
    for directory in (paths.manifests(app), paths.launches(app), paths.config(app)):
        for name in files.names(directory):
            if ".new-" in name:
                files.remove(f"{directory}/{name}")
    for name in files.names(paths.STATES):
        if name.startswith(f"{app}.json.new-"):
            files.remove(f"{paths.STATES}/{name}")
    return mended


def remove_unknown(state: State) -> list[str]:
    """Releases that were never switched to, or that are gone."""
    app = state.app
    kept = set(state.kept)
    unknown = [name for name in files.names(paths.releases(app)) if name not in kept]
    for name in unknown:
        files.remove_tree(f"{paths.releases(app)}/{name}")
    for directory in (paths.manifests(app), paths.launches(app)):
        for name in files.names(directory):
            if name.removesuffix(".json") not in kept:
                files.remove(f"{directory}/{name}")
    values.forget(state)
    return [f"removed the unfinished {name}" for name in unknown]


def settle_live(ctx, state: State, units: Units) -> list[str]:
    """The live slot runs."""
    app, slot, release = state.app, state.live_slot, state.live
    launch = slots.load_launch(app, release) if release else None
    if launch is None:
        return []
    # A switch to other shares may have been cut short: then the slot's files are right, and what is kept is not yet.
    if launch.fits(state):
        slots.configure(state, slot, launch)
    if state.asleep and not is_waking(ctx, state, units):
        return []
    if units.active(paths.app_unit(app, slot)) and http1.listens(state.port(slot)):
        return []
    stop_waking(ctx, app, slot, units)
    if commands.of(launch.settings):
        # One that does not listen any more must not keep the release away that would mend it.
        slots.systemctl(ctx, "start", "--no-block", paths.app_unit(app, slot))
    else:
        slots.start(ctx, state, slot)
    deadline = time.monotonic() + LISTEN_SECONDS
    while not http1.listens(state.port(slot)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [f"started {release} again"]


def is_waking(ctx, state: State, units: Units) -> bool:
    """A sleeping app whose slot runs was woken, or was not stopped yet when somebody was killed: it is awake."""
    with lock.waking(ctx, state.app):
        if units.active(paths.app_unit(state.app, state.live_slot)):
            files.remove(paths.asleep(state.app))
    return not state.asleep


def settle_others(ctx, state: State, units: Units, seen: bool) -> list[str]:
    """The other slot sleeps with the previous release, or is empty; no script of an update runs. `seen`: until now the
    front may have led to what runs there."""
    app = state.app
    mended = []
    if units.active(paths.hook_unit(app)):
        slots.systemctl(ctx, "stop", paths.hook_unit(app))
        mended.append("ended a script of an earlier update")
    for slot in SLOTS:
        if slot == state.live_slot:
            continue
        release = state.fields["slots"][slot]
        launch = shares.launch_of(ctx, state, release) if release else None
        unit = paths.app_unit(app, slot)
        if launch:
            slots.configure(state, slot, launch)
        if units.active(unit) and not units.active(paths.wake_service(app, slot)):
            running = units.release(unit)
            put_away(ctx, unit, drain=seen or running in (release, state.live), wait=running != release)
            mended.append(f"stopped what an earlier update had started in {slot}")
        if launch and state.live and not units.active(paths.wake_socket(app, slot)):
            slots.systemctl(ctx, "start", "--no-block", paths.wake_socket(app, slot))
        if not launch:
            stop_waking(ctx, app, slot, units)
            slots.unconfigure(app, slot)
    if failed := units.failed():
        slots.systemctl(ctx, "reset-failed", *failed, check=False)
    return mended


def put_away(ctx, unit: str, drain: bool, wait: bool) -> None:
    """Ends a slot that nobody is led to any more: at once if nobody ever was. One whose files go is waited for."""
    if drain:
        slots.systemctl(ctx, "stop", *([] if wait else ["--no-block"]), unit)
    else:
        slots.kill(ctx, unit)


def stop_waking(ctx, app: str, slot: str, units: Units) -> None:
    active = [unit for unit in (paths.wake_socket(app, slot), paths.wake_service(app, slot)) if units.active(unit)]
    if active:
        slots.systemctl(ctx, "stop", *active)


def settle_front(ctx, state: State) -> int:
    """The map files and the running map say what the states say; gives how many routes did not."""
    with lock.node(ctx):
        give_way(state)
        maintenance.settle_page(ctx, state)
        return front.route()


def give_way(state: State) -> None:
    """Locations that another app has taken over since."""
    for other in load_all():
        if other.app != state.app and other.claimed > state.claimed:
            kept = [location for location in state.locations if location not in other.locations]
            if kept != state.locations:
                state.set_locations(kept, claim=False)
                state.save()
