"""Takes an app off the node. What its services keep for it stays, unless the data is to go too."""

import os

from . import checks, expiry, files, front, lock, paths, places, processes, schedule, slots, state, users, values
from .context import Failure
from .state import SLOTS


def remove(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with_data = bool(ctx.request.get("with_data"))
    with lock.app(ctx, app, "remove"):
        current = state.load(app)
        if current is None and not has_data(app):
            raise Failure("not-found", f"The node has no app {app}.", "cloudtool query lists the apps.")
        return take_away(ctx, app, current, with_data)


def take_away(ctx, app: str, current: state.State | None, with_data: bool) -> dict:
    """The caller holds the app. Nobody wakes it until nothing is left that could be."""
    with lock.waking(ctx, app):
        return _take_away(ctx, app, current, with_data)


def _take_away(ctx, app: str, current: state.State | None, with_data: bool) -> dict:
    names = services_of(app, current)
    platform = platform_of(current)
    if current is not None and not current.owns_elsewhere:
        places.forget(app, names)
    lenders = places.lenders(app, names) if with_data else []
    ctx.commit()
    removed = []
    if current is not None:
        with ctx.step("switch"), lock.node(ctx):
            current.set_locations([])
            front.route(current)
            current.save()
        with ctx.step("stop"):
            stop(ctx, app)
    if with_data and names:
        from . import services

        with ctx.step("services"):
            removed = services.remove(ctx, app, names, platform)
    with ctx.step("files"):
        if current is not None and not with_data:
            values.keep_for_later(current)
        remove_files(ctx, app, with_data)
    kept = [name for name in names if name not in removed]
    return {"app": app, "kept": kept, "removed": removed, "lenders": lenders}


def services_of(app: str, current: state.State | None) -> list[str]:
    """Every service that ever kept something for the app."""
    names = {name for name in files.names(paths.secrets(app)) if not name.startswith(".")}
    for entry in current.releases if current else []:
        names.update(entry.get("services") or [])
    return sorted(names)


def platform_of(current: state.State | None) -> str:
    platforms = [entry["platform"] for entry in current.releases if entry.get("platform")] if current else []
    return platforms[-1] if platforms else "static"


def has_data(app: str) -> bool:
    return any(os.path.exists(path) for path in (paths.app(app), paths.secrets(app)))


def stop(ctx, app: str) -> None:
    schedule.cancel(ctx, app)
    processes.forget(ctx, app)
    slots.systemctl(ctx, "stop", *slots.all_units(app), paths.hook_unit(app), paths.run_unit(app, "*"), check=False)
    slots.systemctl(ctx, "reset-failed", *slots.all_units(app), check=False)


def remove_files(ctx, app: str, with_data: bool) -> None:
    """The state goes last but for the data: whatever kills this, a second `remove` finds the app and goes on."""
    for path in (
        paths.releases(app),
        paths.venvs(app),
        paths.runs(app),
        paths.manifests(app),
        paths.launches(app),
        paths.logs(app),
    ):
        files.remove_tree(path)
    expiry.forget(ctx, app)
    for slot in SLOTS:
        files.remove_tree(f"{paths.UNITS}/{paths.wake_socket(app, slot)}.d")
        for unit in (paths.app_unit(app, slot), paths.command_unit(app, slot)):
            files.remove_tree(f"{paths.UNIT_PROPERTIES}/{unit}.d")
        slots.unconfigure(app, slot)
        files.remove(paths.slot_port(app, slot))
    files.remove(paths.logrotate(app))
    files.remove(paths.maintenance_page(app))
    if os.path.exists(paths.certificate_record(app)):
        from . import certificates

        certificates.forget(ctx, app)
    files.remove(paths.asleep(app))
    files.remove(paths.failure(app))
    files.remove_tree(paths.copies(app))
    files.remove_tree(paths.crons(app))
    if with_data:
        files.remove_tree(paths.app(app))
        files.remove_tree(paths.secrets(app))
        files.remove_tree(paths.config(app))
        files.remove_tree(paths.backups(app))
        files.remove_tree(paths.snapshots(app))
        users.remove_app_user(ctx, app)
    files.remove(paths.state(app))
    files.fsync_directory(paths.STATES)
