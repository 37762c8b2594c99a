"""The data of an app as they were before an update, kept on the node for `rollback` to go back to.

A snapshot is a backup in a store of the node's own. The release that the update made names it (`snapshot` of its entry: the
id, and the release that served then); what no entry names is none. A release that failed names it, too: its hooks may have run.
"""

import contextlib
import errno

from . import backup, files, paths, service_folders
from .context import Failure
from .local_store import LocalStore
from .state import State, Uses

# However many releases are kept.
MOST = 5


def wanted(settings: dict, before: dict) -> bool:
    """`settings` are those of the new release, `before` those of the one whose data there are."""
    rule = settings["snapshot"]
    asked = service_folders.Asked.by("", before, Uses())
    return (rule == "always" or (rule == "auto" and bool(settings["update_fetch"]))) and bool(
        service_folders.with_data(asked)
    )


def take(ctx, current: State, settings: dict, launch) -> dict | None:
    """A snapshot of the data that `launch`, the live release, works on; what the entry of the new release says of it."""
    try:
        manifest = backup.Taking(ctx, store(current.app), current, launch, [], doing="snapshot").run()
    except OSError as error:
        sweep(current)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return without(ctx, settings)
    except Failure as failure:
        failure.hint = failure.hint or "snapshot = never in app.ini updates without one."
        raise
    return {"id": manifest["id"], "release": launch.release}


def without(ctx, settings: dict) -> None:
    what = "The disk has no room for a snapshot of the data"
    if settings["snapshot"] == "always":
        raise Failure("disk", f"{what}.", "Free some space: cloudtool clean-node.")
    ctx.warning(f"{what}: rollback --with-data will not be able to undo this update.")


def store(app: str) -> LocalStore:
    return LocalStore(paths.snapshots(app), app)


def forget(current: State) -> bool:
    """Forgets those whose release nobody can go back to any more; says whether the state has to be saved."""
    named = [entry for entry in current.releases if entry.get("snapshot")]
    staying = [entry for entry in named if entry["snapshot"]["release"] in current.kept][-MOST:]
    for entry in named:
        if entry not in staying:
            entry["snapshot"] = None
    return staying != named


def sweep(current: State) -> int:
    """Deletes what no entry names any more, or not yet; gives the bytes."""
    own = store(current.app)
    present = own.list()
    named = {entry["snapshot"]["id"] for entry in current.releases if entry.get("snapshot")}
    needed: set[str] = set()
    for snapshot in named:
        if f"{snapshot}.json" in present:
            needed.add(f"{snapshot}.json")
            # One that is damaged is of no use: whoever asks for it is told so.
            with contextlib.suppress(Failure):
                needed |= backup.read_manifest(own, snapshot)["objects"].keys()
    freed = 0
    for name in files.names(own.directory):
        if name not in needed:
            freed += present.get(name, 0)
            own.delete(name)
    return freed


def of(current: State, release: str, snapshot: str) -> LocalStore:
    """Where the snapshot lies that was taken of `release`."""
    if not any(entry.get("snapshot") == {"id": snapshot, "release": release} for entry in current.releases):
        raise Failure(
            "not-found",
            f"{current.app} has no snapshot {snapshot} of {release}.",
            f"cloudtool releases {current.app} shows which there are.",
        )
    return store(current.app)
