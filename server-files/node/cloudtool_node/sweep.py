"""What backups that were killed have left at a store: beginnings that nobody lists, and objects that no manifest names."""

import calendar
import time

from . import backup
from .context import Failure

# What is younger may be of a backup that is being taken from elsewhere.
ABANDONED = 24 * 3600


def sweep(ctx, store) -> None:
    """The next backup at the same place does this. That something cannot be taken away makes it no worse."""
    before = time.time() - ABANDONED
    try:
        store.sweep(before)
        for name in unnamed(store, before):
            store.delete(name)
    except Failure as failure:
        ctx.check_aborted()
        ctx.warning(f"What an interrupted backup may have left there cannot be taken away: {failure.message}")


def unnamed(store, before: float) -> list[str]:
    """Objects of before that time that are part of no backup. Manifests are read only where there may be some."""
    present = store.list()
    candidates = [name for name in present if f"{backup_of(name)}.json" not in present and taken(name) < before]
    if candidates:
        # One that cannot be read may name any of them: then that is an error, and all stay.
        named = {name for manifest in backup.manifests(store) for name in manifest["objects"]}
        candidates = [name for name in candidates if name not in named]
    return candidates


def backup_of(name: str) -> str:
    return name.partition(".")[0]


def taken(name: str) -> float:
    return calendar.timegm(time.strptime(backup_of(name), "%Y%m%dT%H%M%SZ"))
