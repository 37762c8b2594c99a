"""What one release has that another does not: names only, for values may be secrets."""

import json

from . import files, paths, slots
from .state import State

# A report is to be read.
MOST = 100
# Beside the settings: what a request has to say of a release that is never kept.
ASKED = ("settings", "manifest")


def between(app: str, old: str, new: str) -> dict:
    """Of two releases that are kept."""
    return {"from": old, "to": new, **difference(kept(app, old), kept(app, new))}


def asked_for(request: dict, current: State | None) -> dict:
    """What a request would have made of what serves."""
    live = current.live if current else None
    if request.get("verb") == "config":
        return {"from": live, "set": sorted(request.get("set") or {}), "unset": sorted(request.get("unset") or [])}
    if request.get("verb") != "deploy":
        return {"from": live}
    before = kept(current.app, live) if current and live else {}
    return {"from": live, **difference(before, {name: request.get(name) for name in ASKED})}


def kept(app: str, release: str) -> dict:
    launch = slots.load_launch(app, release)
    text = files.read(paths.manifest(app, release))
    return {"settings": launch.settings if launch else None, "manifest": json.loads(text) if text else None}


def difference(old: dict, new: dict) -> dict:
    before, after = contents(old.get("manifest")), contents(new.get("manifest"))
    both = before.keys() & after.keys()
    found = {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(path for path in both if before[path] != after[path]),
        "removed": sorted(before.keys() - after.keys()),
        "settings": changed_keys(old.get("settings") or {}, new.get("settings") or {}),
    }
    return {
        name: [*some[:MOST], f"... and {len(some) - MOST} more"] if len(some) > MOST else some
        for name, some in found.items()
    }


def contents(manifest: dict | None) -> dict[str, tuple]:
    """Of each path what makes it what it is."""
    found = manifest or {}
    of_files = {entry["path"]: (entry["sha256"], entry["mode"]) for entry in found.get("files", [])}
    return of_files | {entry["path"]: (entry["target"],) for entry in found.get("links", [])}


def changed_keys(old: dict, new: dict) -> list[str]:
    """Of a setting that has names in it (`env`) the names."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, is_now = old.get(key), new.get(key)
        if was == is_now:
            continue
        if isinstance(was, dict) and isinstance(is_now, dict):
            found += [
                f"{key}.{name}" for name in sorted(was.keys() | is_now.keys()) if was.get(name) != is_now.get(name)
            ]
        else:
            found.append(key)
    return found
