"""Brings an app from wherever a kill, a full disk or a power cut left it to what its state says. Every changing verb
begins with it, under the app's lock, and a failed one ends with it."""

from . import files, front, http1, lock, paths, slots
from .state import SLOTS, State, load_all


def recover(ctx, state: State) -> list[str]:
    """Gives what it had to mend, in words."""
    mended = remove_leftovers(state)
    mended += settle_slots(ctx, state)
    mended += settle_front(ctx, state)
    return mended


def remove_leftovers(state: State) -> list[str]:
    """Files of releases that never came to be, and of releases that are gone."""
    app = state.app
    mended = []
    present = set(files.names(paths.releases(app)))
    for entry in state.releases:
        if entry["result"] == "kept" and entry["release"] not in present:
            entry["result"] = "pruned"
    kept = set(state.kept)
    for name in present - kept:
        files.remove_tree(f"{paths.releases(app)}/{name}")
        mended.append(f"removed the unfinished {name.removeprefix('.').removesuffix('.partial')}")
    for directory in (paths.manifests(app), paths.launches(app)):
        for name in files.names(directory):
            if name.removesuffix(".json") not in kept:
                files.remove(f"{directory}/{name}")
    for name in files.names(paths.config(app)):
        if ".new-" in name:
            files.remove(f"{paths.config(app)}/{name}")
    for name in files.names(paths.STATES):
        if name.startswith(f"{app}.json.new-"):
            files.remove(f"{paths.STATES}/{name}")
    return mended


def settle_slots(ctx, state: State) -> list[str]:
    """The live slot runs, the other one sleeps with the previous release, or is empty."""
    app = state.app
    slots.configure_waking(state)
    found = slots.show(ctx, [*slots.all_units(app), paths.hook_unit(app)])

    def active(unit: str) -> bool:
        return found.get(unit, {}).get("ActiveState") in ("active", "activating", "reloading")

    mended = []
    if active(paths.hook_unit(app)):
        slots.systemctl(ctx, "stop", paths.hook_unit(app))
        mended.append("ended a script of an earlier update")
    for slot in SLOTS:
        release = state.fields["slots"][slot]
        launch = slots.load_launch(app, release) if release else None
        unit = paths.app_unit(app, slot)
        if launch:
            slots.configure(state, slot, launch)
        if slot == state.live_slot:
            if launch and not (active(unit) and http1.listens(state.port(slot))):
                stop_waking(ctx, app, slot, active)
                slots.start(ctx, state, slot)
                mended.append(f"started {release} again")
            continue
        if active(unit) and not active(paths.wake_service(app, slot)):
            slots.systemctl(ctx, "stop", "--no-block", unit)
            mended.append(f"stopped what an earlier update had started in {slot}")
        if launch and state.live and not active(paths.wake_socket(app, slot)):
            slots.systemctl(ctx, "start", "--no-block", paths.wake_socket(app, slot))
        if not launch:
            stop_waking(ctx, app, slot, active)
            for path in (paths.slot_conf(app, slot), paths.slot_env(app, slot)):
                files.remove(path)
    return mended


def stop_waking(ctx, app: str, slot: str, active) -> None:
    units = [unit for unit in (paths.wake_socket(app, slot), paths.wake_service(app, slot)) if active(unit)]
    if units:
        slots.systemctl(ctx, "stop", *units)


def settle_front(ctx, state: State) -> list[str]:
    """The map files and the running map say what the states say."""
    with lock.node(ctx):
        give_way(state)
        maps = front.desired(load_all())
        front.write_files(maps)
        changed = front.apply(maps)
    return [f"put {changed} routes right"] if changed else []


def give_way(state: State) -> None:
    """Locations that another app has taken over since."""
    for other in load_all():
        if other.app != state.app and other.claimed > state.claimed:
            kept = [location for location in state.locations if location not in other.locations]
            if kept != state.locations:
                state.set_locations(kept, claim=False)
                state.save()
