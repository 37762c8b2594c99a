"""`hand_over`: an app leaves for another node, which has a first copy of it already (copies.py).

Requests are answered with 503 from the moment in which the app is stopped until the other node serves: what is written to
the store in between is all there is. The client brings it there in the middle of the request. When it says that the app is up,
the move is written into the state, and the front sends the requests on. Whatever ends before that, a kill of this program
too, ends with the app serving here.
"""

import time

from . import (
    backup,
    checks,
    files,
    front,
    lock,
    lookup,
    maintenance,
    moves,
    paths,
    processes,
    recover,
    renew,
    restore,
    service_folders,
    slots,
    state,
    staying,
)
from .context import Failure
from .store import open_store


def hand_over(ctx, payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    to = checks.address(ctx.request.get("to"))
    patience = checks.whole_number(ctx.request.get("patience"), "patience", 1, 86400)
    with lock.app(ctx, app, "move"), lock.backup(ctx, app), lock.waking(ctx, app):
        current = restore.recovered(ctx, app)
        launch = moves.require_live(current)
        if ctx.request.get("release") != current.live:
            raise Failure("changed", f"{app} was updated meanwhile: it serves {current.live} now.", "Move it again.")
        asked = service_folders.Asked.by(app, launch.settings, current.uses)
        staying.require_same(asked, ctx.request.get("staying"))
        stays = staying.names(asked)
        store = open_store(ctx, payload, app)
        guard(ctx, app)
        try:
            with ctx.step("processes"):
                processes.end(ctx, app)
            began = time.monotonic()
            with ctx.step("hold"):
                hold(ctx, current)
            taken = None
            if service_folders.with_data(asked, stays):
                taken = backup.Taking(ctx, store, current, launch, [], "copy", remember=False, stays=stays).run()["id"]
            with ctx.step("arrive"):
                store.handed(taken, patience)
            forward(ctx, current, to)
            window = time.monotonic() - began
        except BaseException:
            current.held = False
            if not current.moved_to:
                with ctx.shielded():
                    recover.recover(ctx, current)
            raise
        return {"app": app, "moved_to": to, "locations": current.locations, "window": round(window, 3)}


def guard(ctx, app: str) -> None:
    """Somebody who waits for the end of this program, however it comes, and sees to it that the app serves."""
    unit = paths.guard_unit(app)
    words = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", f"{paths.PROGRAM}/cloudtool-node", "guard", app]
    started = ctx.run(words, check=False)
    # One of an attempt that was killed waits for us as well.
    if started.returncode and slots.systemctl(ctx, "is-active", "--quiet", unit, check=False).returncode:
        raise Failure("internal", f"{unit} could not be started: {started.stderr.strip()}")


def watch(ctx, app: str) -> None:
    """What the guard does."""
    with lock.app(ctx, app, "guard"):
        found = state.load(app)
        if found:
            recover.recover(ctx, found)


def hold(ctx, current: state.State) -> None:
    """From now on nobody reaches the app, and nothing of it runs: its data do not change."""
    with lock.node(ctx):
        current.held = True
        front.route(current)
    slots.systemctl(ctx, "stop", *slots.all_units(current.app))


def forward(ctx, current: state.State, to: str) -> None:
    """The move is complete when the state is written."""
    with ctx.step("switch"), lock.node(ctx):
        ctx.commit()
        current.held = False
        current.fields["moved_to"] = to
        current.save()
        files.remove(paths.asleep(current.app))
        front.route(current)


def arrive(ctx, payload) -> dict:
    """On the other node: the newest data, and the locations, in one switch."""
    app = checks.app_name(ctx.request.get("app"))
    locations = checks.locations(ctx.request.get("locations"))
    with lock.app(ctx, app, "move"), lock.backup(ctx, app):
        current = restore.recovered(ctx, app, arriving=True)
        launch = moves.require_live(current, arriving=True)
        current.fields["disabled"] = maintenance.checked(ctx.request.get("disabled"))
        current.fields["scale"] = checks.counts(ctx.request.get("scale"))
        names, fill = [], renew.nothing
        if ctx.request.get("backup"):
            filling = restore.Filling(ctx, open_store(ctx, payload, app), ctx.request["backup"], app, launch)
            # Nobody is led to the first copy, and what runs there must not change the files that are taken over from it.
            slots.kill(ctx, paths.app_unit(app, current.live_slot))
            filling.recall(paths.copies(app))
            names, fill = filling.names, filling.fill
        renew.renew(ctx, current, launch, names, fill, locations=locations)
        return {"app": app, "release": current.live, "locations": current.locations}


def arrived(ctx, _payload) -> dict:
    """On the other node: the app is no longer a copy that the next attempt may replace."""
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "move"):
        current = lookup.existing(app)
        moves.require_here(current, arriving=True)
        for field in ("arriving", "copy_of"):
            current.fields.pop(field, None)
        current.save()
        files.remove_tree(paths.copies(app))
        processes.follow(ctx, current)
        return {"app": app, "release": current.live, "locations": current.locations}
