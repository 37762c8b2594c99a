"""What the node remembers of an app's backups, whoever asked for them: the last one, the last failure, the last proof."""

import json
import os

from . import files, paths
from .times import now


def load(app: str) -> dict:
    """`taken`, `failed` and `verified`, each with `at`; one that never was is not there."""
    try:
        return json.loads(files.read(paths.backup_record(app)) or "{}")
    except ValueError:
        return {}


def plan(app: str) -> dict | None:
    """When and where the node backs the app up by itself (schedule.py); it holds secrets."""
    text = files.read(paths.backup_plan(app))
    return None if text is None else json.loads(text)


def taken(app: str, manifest: dict, destination: str, scheduled: bool) -> None:
    added = sum(about["bytes"] for name, about in manifest["objects"].items() if name.startswith(manifest["id"]))
    entry = {"backup": manifest["id"], "to": destination, "seconds": manifest["seconds"], "added": added}
    _note(app, "taken", {**entry, "scheduled": scheduled}, over="failed")


def failed(app: str, message: str, scheduled: bool) -> None:
    _note(app, "failed", {"message": message, "scheduled": scheduled})


def verified(app: str, backup_id: str, seconds: float) -> None:
    _note(app, "verified", {"backup": backup_id, "seconds": seconds})


def _note(app: str, what: str, entry: dict, over: str | None = None) -> None:
    """`over`: what is no longer of interest."""
    record = {**load(app), what: {"at": now(), **entry}}
    record.pop(over, None)
    os.makedirs(paths.backups(app), mode=0o700, exist_ok=True)
    files.write(paths.backup_record(app), json.dumps(record), durable=True)
