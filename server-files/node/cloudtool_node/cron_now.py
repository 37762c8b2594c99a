"""`cron`: the jobs of an app, and one of them now instead of at its time."""

import os

from . import checks, cron_records, crons, lookup, moves, paths, query
from .context import Failure

# Of what a job has printed, as much is told.
TOLD = 64 << 10


def cron_jobs(ctx, _payload) -> dict:
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    return {"app": current.app, "crons": query.crons_of(ctx, current.app)}


def cron(ctx, _payload) -> dict:
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    moves.require_here(current)
    name, told = require_job(current.app, checks.text(ctx.request.get("cron"), "The job"))
    if not current.at_work:
        raise moves.nothing_serves(current)
    log = f"{paths.logs(current.app)}/cron-{name}.log"
    begin = size(log)
    with ctx.step(name):
        number = crons.start(ctx, current.app, name, told, "--wait")
    if number is None:
        raise Failure(
            "busy",
            f"The job {name} of {current.app} runs already, and may not run twice at once (concurrency = forbid).",
            f"cloudtool logs {current.app} -f shows what it does.",
        )
    last = cron_records.load(current.app, name).get("last", {})
    # With `allow`, the next run may have begun before this one had ended.
    run = last if last.get("number") == number else None
    return {"app": current.app, "cron": name, "run": run, "printed": printed(log, begin)}


def require_job(app: str, name: str | None) -> tuple[str, dict]:
    """A job of the app by its name, and what it is."""
    known = [crons.title(timer) for timer in crons.known(app)]
    told = crons.what(app, name) if name in known else None
    if told is None:
        there = f"there are: {', '.join(sorted(known))}" if known else "its app.ini has no [cron:NAME]"
        raise Failure("not-found", f"{app} has no cron job {name} on this node; {there}.")
    return name, told


def size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def printed(path: str, begin: int) -> list[str]:
    """What is in a log from `begin` on, or its end."""
    if size(path) <= begin:
        return []
    with open(path, "rb") as file:
        file.seek(max(begin, size(path) - TOLD))
        return file.read(TOLD).decode(errors="replace").splitlines()
