"""Takes away old releases: all but the live one, the previous one, and the newest few."""

import os

from . import files, paths
from .state import State


def prune(state: State, keep: int) -> list[tuple[str, int]]:
    """Gives (path, bytes) of what was removed. On a full disk there may be no room to write the state before something
    is gone; so a release loses its name first, and recover finishes what a kill leaves: it forgets what has no name and
    removes what has none."""
    gone = beyond(state, keep)
    removed = []
    for release in gone:
        path = paths.release(state.app, release)
        nameless = f"{paths.releases(state.app)}/.{release}.gone"
        state.entry(release)["result"] = "pruned"
        files.remove_tree(nameless)
        os.rename(path, nameless)
        removed.append((path, files.remove_tree(nameless)))
        files.remove(paths.manifest(state.app, release))
        files.remove(paths.launch(state.app, release))
    if gone:
        state.save()
    removed += prune_snapshots(state)
    for path in unused_venvs(state):
        removed.append((path, files.remove_tree(path)))
    return removed


def prune_snapshots(state: State) -> list[tuple[str, int]]:
    """An app that never had one does not pay for looking into them."""
    if not os.path.isdir(paths.snapshots(state.app)):
        return []
    from . import snapshots

    if snapshots.forget(state):
        state.save()
    freed = snapshots.sweep(state)
    return [(paths.snapshots(state.app), freed)] if freed else []


def beyond(state: State, keep: int) -> list[str]:
    """The releases to remove, oldest first."""
    serving = [release for release in (state.live, state.previous) if release]
    others = [release for release in reversed(state.kept) if release not in serving]
    kept = others[: max(0, keep - len(serving))]
    return [release for release in state.kept if release not in serving and release not in kept]


def unused_venvs(state: State) -> list[str]:
    used = {entry.get("venv") for entry in state.releases if entry["result"] == "kept"}
    present = [f"{paths.venvs(state.app)}/{name}" for name in files.names(paths.venvs(state.app))]
    return [path for path in present if path not in used]
