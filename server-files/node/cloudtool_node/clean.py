"""Gives disk space back: releases beyond the live and the previous one, unused virtual environments, left-overs."""

from . import files, lock, paths, prune, recover, state, uploads
from .context import Failure

KEEP = 2


def clean(ctx, _payload) -> dict:
    dry_run = bool(ctx.request.get("dry_run"))
    removed = []
    for found in state.load_all():
        if dry_run:
            removed += removable(found)
            continue
        try:
            with lock.app(ctx, found.app, "clean"):
                removed += clean_app(ctx, found.app)
        except Failure as failure:
            if failure.code != "busy":
                raise
            ctx.warning(f"{found.app} was left out: {failure.message}")
    for path in orphans():
        removed.append({"path": path, "why": "the app is gone", "bytes": files.tree_size(path)})
        if not dry_run:
            files.remove_tree(path)
    return {"removed": removed, "bytes": sum(item["bytes"] for item in removed)}


def clean_app(ctx, app: str) -> list[dict]:
    current = state.load(app)
    if current is None:
        return []
    why = reasons(current)
    left = [{"path": path, "why": why[path], "bytes": files.tree_size(path)} for path in leftovers(current)]
    uploads.reap(ctx, app)
    recover.recover(ctx, current)
    gone = prune.prune(current, KEEP)
    return left + [{"path": path, "why": why.get(path, "left over"), "bytes": size} for path, size in gone]


def removable(current: state.State) -> list[dict]:
    return [{"path": path, "why": why, "bytes": files.tree_size(path)} for path, why in reasons(current).items()]


def reasons(current: state.State) -> dict[str, str]:
    """Every path that can go, and why."""
    found = {paths.release(current.app, release): "an old release" for release in prune.beyond(current, KEEP)}
    used = {current.entry(release).get("venv") for release in (current.live, current.previous) if release}
    for name in files.names(paths.venvs(current.app)):
        path = f"{paths.venvs(current.app)}/{name}"
        if path not in used:
            found[path] = "an unused virtual environment"
    found.update(dict.fromkeys(leftovers(current), "left over by what was killed"))
    return found


def leftovers(current: state.State) -> list[str]:
    names = files.names(paths.releases(current.app))
    releases = [paths.release(current.app, name) for name in names if name not in current.kept]
    return releases + uploads.leftovers(current.app)


def orphans() -> list[str]:
    """Code of apps that have no state: what a removal that was killed left. Data is not for this to judge."""
    known = {found.app for found in state.load_all()}
    gone = [app for app in files.names(paths.APPS) if app not in known and lock.holder(lock.app_file(app)) is None]
    return [path for app in gone for path in (paths.releases(app), paths.venvs(app)) if files.names(path)]
