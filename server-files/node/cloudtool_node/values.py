"""The values that are set for an app on the node: its settings and secrets.

A version of them is a file that never changes, named after the release that brought it (`v0`: before the first release). Every
entry of a release names the version it runs with, and what no entry names is none: so they are rolled out and back like code.
"""

import json
import os
import re

from . import checks, files, paths
from .context import Failure
from .state import State

# The kernel gives a program no text of the environment that is longer than 128 KiB, nor more than 2 MiB in all.
LARGEST = 64 << 10
LARGEST_TOGETHER = 512 << 10
BEFORE_THE_FIRST_RELEASE = "v0"

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
GIVEN_BY_THE_NODE = re.compile(r"CLOUDTOOL_.*|CONFIG_.*|HOME|PATH|PYTHONPATH|TEMP")


def load(app: str, version: str | None) -> dict[str, str]:
    """Nothing, where no version was ever set."""
    if version is None:
        return {}
    return json.loads(files.read(paths.values(app, version)) or "{}")


def save(app: str, version: str, values: dict[str, str]) -> None:
    files.make_directory(paths.all_values(app), mode=0o700)
    files.write(paths.values(app, version), json.dumps(values), durable=True)


def current(state: State) -> str | None:
    """The version that the next release starts with: that of the one that serves."""
    entry = state.entry(state.live) if state.live else None
    if entry is not None:
        return entry.get("values")
    return waiting(state.app)


def waiting(app: str) -> str | None:
    """The version that the first release of an app starts with."""
    return BEFORE_THE_FIRST_RELEASE if os.path.exists(paths.values(app, BEFORE_THE_FIRST_RELEASE)) else None


def names(app: str, state: State | None) -> list[str]:
    """What is set for an app, whether it is there or not."""
    return sorted(load(app, current(state) if state else waiting(app)))


def versions(state: State) -> list[tuple[dict, str | None]]:
    """The releases that changed something in them, newest first, each with its version and the one before."""
    found, before = [], None
    for entry in state.releases:
        if entry["result"] == "failed":
            continue
        version = entry.get("values")
        if version != before:
            found.append((entry, before))
        before = version
    return found[::-1]


def differences(old: dict[str, str], new: dict[str, str]) -> dict[str, list[str]]:
    """The names of what is set, or set to something else, and of what is not set any more."""
    return {
        "set": sorted(name for name in new if old.get(name) != new[name]),
        "unset": sorted(name for name in old if name not in new),
    }


def forget(state: State) -> None:
    """Versions that nothing can go back to."""
    named = {entry.get("values") for entry in state.releases} | {current(state)}
    for name in files.names(paths.all_values(state.app)):
        if name.removesuffix(".json") not in named:
            files.remove(f"{paths.all_values(state.app)}/{name}")


def keep_for_later(state: State) -> None:
    """The app goes and its data stay: when it comes back, it finds what was set."""
    version = current(state)
    if version is not None:
        save(state.app, BEFORE_THE_FIRST_RELEASE, load(state.app, version))


def digest(app: str, value: str) -> str:
    """The same for the same value of this app, and nothing that a short value could be guessed from elsewhere."""
    import hashlib
    import hmac

    secret = (files.read(paths.app_secret(app)) or "").encode()
    return hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()[:12]


def check(values) -> dict[str, str]:
    """What can be set. What is wrong is never quoted: it may be a secret."""
    checks.variables({} if values is None else values, "config")
    for name, value in (values or {}).items():
        if not NAME.fullmatch(name) or GIVEN_BY_THE_NODE.fullmatch(name):
            raise checks.bad(
                f"{name} cannot be set: names with CLOUDTOOL_ or CONFIG_ and a few others are the node's own."
            )
        if len(value.encode()) > LARGEST:
            raise checks.bad(
                f"The value of {name} has {len(value.encode())} bytes, a variable has at most {LARGEST}:"
                " put it into a file of a service, and set its path."
            )
    return values or {}


def check_together(values: dict[str, str]) -> None:
    size = sum(len(name) + len(value.encode()) + 2 for name, value in values.items())
    if size > LARGEST_TOGETHER:
        raise checks.bad(f"All values together have {size} bytes, at most {LARGEST_TOGETHER} fit into an environment.")


def missing(settings: dict, values: dict[str, str]) -> list[str]:
    """What app.ini says must be set, and is not."""
    wanted = settings.get("config") or {}
    return [name for name in wanted.get("required", []) if name not in values and name not in wanted.get("default", {})]


def require(app: str, settings: dict, values: dict[str, str]) -> None:
    lacking = missing(settings, values)
    if lacking:
        raise Failure(
            "config",
            f"{app} needs {', '.join(lacking)} to be set (config.required in its app.ini).",
            f"cloudtool config {app} set {lacking[0]} SOURCE",
        )
