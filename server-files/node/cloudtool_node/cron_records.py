"""What came of an app's cron jobs: of each the last run, the last failure, and what was left out because a run took too long.

A file for each job. Runs of one job may go on side by side: whoever changes its file holds the directory.
"""

import contextlib
import fcntl
import json
import os

from . import files, paths
from .times import now


def load(app: str, name: str) -> dict:
    """`last` with `at`, `result` (running, ok, failed, stopped), `seconds`, `release`, `message`; `failed`, the last one that did; `skipped`."""
    try:
        return json.loads(files.read(paths.cron_record(app, name)) or "{}")
    except ValueError:
        return {}


def started(app: str, name: str, number: str, release: str | None) -> None:
    with changing(app, name) as record:
        record["last"] = {"number": number, "at": now(), "result": "running", "release": release}


def ended(app: str, name: str, number: str, result: str, message: str | None, seconds: float) -> None:
    with changing(app, name) as record:
        of_ours = record.get("last", {}).get("number") == number
        run = {
            **(record["last"] if of_ours else {"at": now()}),
            "result": result,
            "message": message,
            "seconds": seconds,
        }
        if of_ours:
            record["last"] = run
        if result == "failed":
            record["failed"] = run


def skipped(app: str, name: str) -> None:
    with changing(app, name) as record:
        record["skipped"] = {"at": now(), "count": record.get("skipped", {}).get("count", 0) + 1}


def forget(app: str, name: str) -> None:
    files.remove(paths.cron_record(app, name))


@contextlib.contextmanager
def changing(app: str, name: str):
    directory = paths.crons(app)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        record = load(app, name)
        yield record
        files.write(paths.cron_record(app, name), json.dumps(record))
    finally:
        os.close(fd)
