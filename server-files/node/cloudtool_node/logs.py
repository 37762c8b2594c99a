"""An app's logs: the last lines, and with `follow` what comes after, until the client ends its input."""

import calendar
import os
import re
import select
import time

from . import checks, files, paths, rollback, slots
from .context import Failure
from .times import FORMAT

STREAMS = ("error", "access", "hooks")
BLOCK = 1 << 16
# Lines carry their time in brackets: Apache's error log in UTC with a space, the access log with an offset.
STAMP = re.compile(r"\[(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)[.\d]*(Z|[+-]\d{4})?\]")

AGO = re.compile(r"([0-9]{1,9})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_AGO = 100 * 365 * 86400
# Less than all of a time is its beginning, which is how texts compare.
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\dZ?)?)?")


def logs(ctx, _payload) -> dict:
    current = rollback.existing(checks.app_name(ctx.request.get("app")))
    app = current.app
    # An app may write down what it knows; who reads its log need not know that.
    for release in current.kept:
        if launch := slots.load_launch(app, release):
            launch.tell_secrets(ctx, app)
    wanted = checks.texts(ctx.request.get("streams"), "The streams") or ["error"]
    if not set(wanted) <= set(STREAMS):
        raise checks.bad(f"The logs are called {', '.join(STREAMS)}.")
    count = checks.whole_number(ctx.request.get("lines") or 100, "lines", 1, 1_000_000)
    keep = chosen(ctx.request)
    tails = [Tail(stream, f"{paths.logs(app)}/{stream}.log") for stream in wanted]
    found = [item for tail in tails for item in tail.last(count, keep)]
    found.sort(key=lambda item: item[0] or "")
    for at, stream, line in found[-count:]:
        ctx.event("line", stream=stream, at=at, line=line)
    if ctx.request.get("follow"):
        follow(ctx, tails, keep)
    return {"app": app}


def follow(ctx, tails: list["Tail"], keep) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP | select.POLLRDHUP)
    while not ctx.out.gone and not poll.poll(200):
        for tail in tails:
            for at, stream, line in tail.fresh(keep):
                ctx.event("line", stream=stream, at=at, line=line)


def chosen(request: dict):
    """A test for lines, from `since` (a time) and `grep` (a regular expression)."""
    since = moment(checks.text(request.get("since"), "since"))
    grep = checks.text(request.get("grep"), "grep")
    try:
        pattern = re.compile(grep) if grep else None
    except re.error as error:
        raise Failure("bad-request", f"grep {request['grep']!r} is not a regular expression: {error}.") from error
    return lambda at, line: not (since and (at is None or at < since)) and (pattern is None or pattern.search(line))


def moment(since: str | None) -> str | None:
    """A time as lines are compared with it, from `10m` (that long ago, by the node's clock) or the beginning of a time."""
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


def stamp(line: str) -> str | None:
    """The time a line says, in UTC."""
    found = STAMP.search(line[:400])
    if not found:
        return None
    day, clock, offset = found.groups()
    if offset in (None, "Z", "+0000"):
        return f"{day}T{clock}Z"
    seconds = calendar.timegm(time.strptime(f"{day}T{clock}Z", FORMAT))
    sign = -1 if offset[0] == "-" else 1
    seconds -= sign * (int(offset[1:3]) * 3600 + int(offset[3:5]) * 60)
    return time.strftime(FORMAT, time.gmtime(seconds))


class Tail:
    """One log file, opened with care: the directory is the app's own."""

    def __init__(self, stream: str, path: str):
        self.stream = stream
        self.path = path
        self.position = 0
        self.rest = b""
        self.at = None

    def last(self, count: int, keep) -> list:
        """The last `count` lines that pass, read from the end."""
        fd = files.open_foreign(self.path)
        if fd is None:
            return []
        with open(fd, "rb") as file:
            start = self.position = os.fstat(fd).st_size
            data = b""
            while True:
                if start == 0 or self._passing(data, start, count, keep) > count:
                    break
                size = min(max(BLOCK, len(data)), start)
                start -= size
                file.seek(start)
                data = file.read(size) + data
        complete, _, self.rest = data.rpartition(b"\n")
        lines = complete.split(b"\n") if complete else []
        return self._named(lines if start == 0 else lines[1:], keep)[-count:]

    def _passing(self, data: bytes, start: int, count: int, keep) -> int:
        if data.count(b"\n") <= count:
            return 0
        return len(self._named(data.split(b"\n")[1:], keep))

    def fresh(self, keep) -> list:
        """Whole lines since the last look; after a rotation from the new beginning."""
        fd = files.open_foreign(self.path)
        if fd is None:
            return []
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size < self.position:
                self.position, self.rest = 0, b""
            if size == self.position:
                return []
            file.seek(self.position)
            data = self.rest + file.read(1 << 20)
            self.position = file.tell()
        *lines, self.rest = data.split(b"\n")
        return self._named(lines, keep)

    def _named(self, lines: list[bytes], keep) -> list:
        """(time, stream, line); a line without a time of its own has the one before it."""
        found = []
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            self.at = stamp(line) or self.at
            if keep(self.at, line):
                found.append((self.at, self.stream, line))
        return found
