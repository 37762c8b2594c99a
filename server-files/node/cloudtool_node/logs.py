"""An app's logs: the last records, and with `follow` what comes after, until the client ends its input.

Streams: `error` is all that the slots' Apaches, and the app through them, have to say; `app` the app's part of it; `access` the requests;
`process` what its processes and cron jobs print; `deploy` the output of update_fetch, and what the audit log has of the app.
"""

import glob
import json
import re
import select
import time

from . import checks, lookup, paths, slots
from .context import Failure
from .log_files import Log
from .log_records import Record
from .times import FORMAT

STREAMS = ("app", "error", "access", "process", "deploy")
# The directory is the app's, which may have put anything into it.
MOST_PROCESSES = 100
OF_PROCESS = re.compile(r"(process|cron)-.+\.log")
USUAL = ["error", "process", "deploy"]
# A line is shown after two of them at most.
LOOK_MS = 50

AGO = re.compile(r"([0-9]{1,9})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_AGO = 100 * 365 * 86400
# Less than all of a time is its beginning, which is how texts compare.
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\dZ?)?)?")
# Apache's own modules; mod_wsgi and PHP speak for the app.
OF_APACHE = re.compile(r" (?:\[v\d+\] )?\[(?!wsgi:|php\d*:)[a-z0-9_]+:[a-z0-9]+\]")


def logs(ctx, _payload) -> dict:
    current = lookup.app_of(ctx.request)
    app = current.app
    # An app may write down what it knows; who reads its log need not know that.
    for release in current.kept:
        if launch := slots.load_launch(app, release):
            launch.tell_secrets(ctx, app)
    wanted = checks.texts(ctx.request.get("streams"), "The streams") or USUAL
    if not set(wanted) <= set(STREAMS):
        raise checks.bad(f"The logs are called {', '.join(STREAMS)}.")
    count = checks.whole_number(ctx.request.get("lines") or 100, "lines", 1, 1_000_000)
    since = moment(checks.text(ctx.request.get("since"), "since"))
    keep = chosen(since, checks.text(ctx.request.get("grep"), "grep"))
    opened = open_logs(app, wanted)
    found = [(record, log.stream) for log in opened for record in log.last(count, keep, since)]
    found.sort(key=lambda item: item[0].at or "")
    for record, stream in found[-count:]:
        tell(ctx, record, stream)
    if ctx.request.get("follow"):
        ctx.event("following")
        follow(ctx, app, wanted, opened, keep)
    return {"app": app}


def tell(ctx, record: Record, stream: str) -> None:
    ctx.event("line", stream=stream, at=record.at, line=record.text)


def open_logs(app: str, wanted: list[str]) -> list[Log]:
    directory = paths.logs(app)
    opened = []
    if "error" in wanted:
        opened.append(Log("error", f"{directory}/error.log"))
    elif "app" in wanted:
        opened.append(Log("app", f"{directory}/error.log", chosen=is_of_app))
    if "access" in wanted:
        opened.append(Log("access", f"{directory}/access.log", whole_lines=True))
    if "deploy" in wanted:
        opened.append(Log("deploy", f"{directory}/hooks.log"))
        opened.append(Log("deploy", paths.AUDIT_LOG, read=lambda text: audited(text, app), whole_lines=True))
    if "process" in wanted:
        opened += [Log("process", path) for path in processes(app)]
    return opened


def processes(app: str) -> list[str]:
    """The logs of processes and cron jobs."""
    found = glob.glob(f"{glob.escape(paths.logs(app))}/*-*.log")
    mine = [path for path in found if OF_PROCESS.fullmatch(path.rpartition("/")[2])]
    return sorted(mine)[:MOST_PROCESSES]


def follow(ctx, app: str, wanted: list[str], opened: list[Log], keep) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP | select.POLLRDHUP)
    while not ctx.out.gone and not poll.poll(LOOK_MS):
        if "process" in wanted:
            known = {log.path for log in opened}
            # A process that has begun to print since.
            opened += [Log("process", path) for path in processes(app) if path not in known]
        found = [(record, log.stream) for log in opened for record in log.fresh(keep)]
        for record, stream in sorted(found, key=lambda item: item[0].at or ""):
            tell(ctx, record, stream)


def is_of_app(record: Record) -> bool:
    return record.writer is None or not OF_APACHE.match(record.writer)


def audited(text: str, app: str) -> str | None:
    """A line of the audit log as a sentence, when it is about the app."""
    try:
        entry = json.loads(text)
        if entry["app"] != app:
            return None
        what = " ".join(str(entry[name]) for name in ("verb", "release", "command") if entry.get(name))
        return f"[{entry['at']}] {what} by {entry['by']}: {entry['result']} after {entry['seconds']:.1f} s"
    except (ValueError, KeyError, TypeError):
        return None


def chosen(since: str | None, grep: str | None):
    """A test for records, from `since` (a time) and `grep` (a regular expression)."""
    try:
        pattern = re.compile(grep) if grep else None
    except re.error as error:
        raise Failure("bad-request", f"grep {grep!r} is not a regular expression: {error}.") from error

    def keep(record: Record) -> bool:
        late = not since or record.at is not None and record.at.rstrip("Z") >= since.rstrip("Z")
        return late and (pattern is None or pattern.search(record.text) is not None)

    return keep


def moment(since: str | None) -> str | None:
    """A time as records are compared with it, from `10m` (that long ago, by the node's clock) or the beginning of a time."""
    if since is None:
        return None
    if ago := AGO.fullmatch(since):
        return time.strftime(FORMAT, time.gmtime(time.time() - min(int(ago[1]) * SECONDS[ago[2]], MOST_AGO)))
    if TIME.fullmatch(since):
        return since.replace(" ", "T")
    raise Failure(
        "bad-request",
        f"since {since!r} is not a time.",
        "Write how long ago (30s, 10m, 2h, 3d), or a time in UTC like 2026-01-31 or 2026-01-31T12:00:00Z.",
    )
