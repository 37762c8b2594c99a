"""Back to a release that is still here: started in the idle slot with the configuration it had, asked for its health,
switched to. Hooks do not run: they belong to what is new. With a snapshot, the data are those of before an update, too."""

import os

from . import checks, lock, lookup, moves, processes, recover, shares, slots, state
from .context import Failure
from .deploy import answer, drain, start_candidate, switch


def rollback(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    to = ctx.request.get("to")
    if ctx.request.get("snapshot") is not None:
        return with_data(ctx, app, checks.release_id(to), str(ctx.request["snapshot"]))
    with lock.app(ctx, app, "rollback"):
        current = lookup.existing(app)
        with ctx.step("recover") as step:
            step.detail = ", ".join(recover.recover(ctx, current)) or None
        to = checks.release_id(to) if to is not None else previous(current)
        serve(ctx, current, to, current.locations)
        return answer(current, [])


def with_data(ctx, app: str, to: str, snapshot: str) -> dict:
    """To a release and to the data that it served before an update: one switch for both."""
    from . import renew, restore, snapshots

    with lock.app(ctx, app, "rollback"), lock.backup(ctx, app):
        current = restore.recovered(ctx, app)
        store = snapshots.of(current, to, snapshot)
        launch = startable(ctx, current, to, slots.load_launch(app, to))
        filling = restore.Filling(ctx, store, snapshot, app, launch)
        renew.renew(ctx, current, launch, filling.names, filling.fill)
        return {**answer(current, []), "backup": snapshot, "services": filling.names}


def previous(current: state.State) -> str:
    if current.previous is None:
        raise Failure("not-found", f"{current.app} has no previous release.", f"cloudtool releases {current.app}")
    return current.previous


def serve(ctx, current: state.State, release: str, locations: list[str]) -> list[str]:
    """Makes `release` the live one; gives the locations that are new. Nothing to do when it is."""
    moves.require_here(current)
    if release == current.live:
        if locations == current.locations:
            return []
        return switch(ctx, current, current.live_slot, release, locations)
    launch = startable(ctx, current, release, shares.launch_of(ctx, current, release))
    slot = current.idle_slot
    try:
        candidate = start_candidate(ctx, current, slot, launch, locations)
        with ctx.step("health") as step:
            step.detail = str(candidate.check())
        added = switch(ctx, current, slot, release, locations)
    except BaseException:
        if current.live != release:
            recover.give_up(ctx, current, slot)
        raise
    drain(ctx, current)
    processes.follow(ctx, current)
    return added


def startable(ctx, current: state.State, release: str, launch: slots.Launch | None) -> slots.Launch:
    """What it takes to start a release, when all of it is still here."""
    if release not in current.kept or launch is None:
        kept = ", ".join(current.kept) or "none"
        raise Failure("not-found", f"{release} of {current.app} is not on the node; kept are: {kept}.")
    launch.tell_secrets(ctx, current.app)
    if launch.venv and not os.path.isdir(launch.venv):
        raise Failure("requirements", f"The virtual environment of {release} is gone.", "Update the app instead.")
    return launch
