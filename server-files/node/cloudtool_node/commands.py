"""Commands of an app: what runtime/launch.py is told to run, and on which port the command of a runner listens.

The ports follow from the app's uid, so that the firewall knows without being told whose they are: only the app itself, whose
Apache is in front of the command, may connect to them.
"""

import json

from . import files, paths, users
from .state import SLOTS

FIRST_PORT = 14000


def of(settings: dict) -> list[str] | None:
    """The command line of a runner that is one."""
    runner = settings.get("runner") or {}
    return runner.get("words") if runner.get("kind") == "command" else None


def port(app: str, slot: str) -> int:
    """Where the command of a slot listens."""
    return FIRST_PORT + len(SLOTS) * (users.uid(app) - users.FIRST_ID) + SLOTS.index(slot)


def told(app: str, release: str, words: list[str], log: str, name: str, **more) -> dict:
    """What it prints goes to the app's log `log`, under `name`."""
    path = f"{paths.logs(app)}/{log}.log"
    return {"words": words, "directory": paths.release(app, release), "log": path, "name": name, **more}


def write(app: str, path: str, what: dict) -> None:
    files.write(path, json.dumps(what), mode=0o640, gid=users.gid(app))
