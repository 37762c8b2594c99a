"""An app's requests of the last minutes: how many, how fast, how many failed. From the end of its access log, when somebody asks."""

import os
import re
import time

from . import files, paths
from .log_records import STAMP, utc
from .state import State
from .times import FORMAT

WINDOW = 300
# Of a busy app it is the last part of these minutes.
MOST_BYTES = 1 << 20
REQUEST = re.compile(r'"(?:[^"\\]|\\.)*" (\d{3}) ')
# Fewer say nothing.
FEW = 10
TOO_MANY = 0.05


def entry(look, found: State) -> dict | None:
    if found.live is None or found.moved_to:
        return None
    now = time.time()
    measured = measure(tail(f"{paths.logs(found.app)}/access.log"), now)
    if measured["requests"] >= FEW and measured["error_rate"] > TOO_MANY:
        message = f"{measured['errors']} of the last {measured['requests']} requests of {found.app} failed."
        look.warn(message, f"cloudtool logs {found.app} --stream error")
    if not measured["requests"]:
        last = f"; the last at {measured['last']}" if measured["last"] else ""
        return {"text": f"none in {WINDOW // 60} minutes{last}", **measured}
    text = (
        f"{measured['per_minute']:.1f} a minute, p50 {measured['p50_ms']:.0f} ms, p95 {measured['p95_ms']:.0f} ms,"
        f" {measured['error_rate']:.1%} failed, in {measured['seconds']} s"
    )
    return {"text": text, **measured}


def tail(path: str) -> list[str]:
    """The last whole lines of a log."""
    fd = files.open_foreign(path)
    if fd is None:
        return []
    with open(fd, "rb") as file:
        size = os.fstat(fd).st_size
        file.seek(max(0, size - MOST_BYTES))
        lines = file.read(MOST_BYTES).decode("utf-8", "replace").split("\n")
    return lines[1 if size > MOST_BYTES else 0 : -1]


def measure(lines: list[str], now: float) -> dict:
    """Of lines of an access log, the newest last: they end with the microseconds, the host and the release."""
    since = time.strftime(FORMAT, time.gmtime(now - WINDOW))
    took, errors, last, first = [], 0, None, None
    for line in reversed(lines):
        stamp, request, ending = STAMP.search(line[:400]), REQUEST.search(line), line.rsplit(" ", 3)
        if stamp is None or request is None or len(ending) < 4 or not ending[1].isdigit():
            continue
        at = utc(stamp)
        last = last or at
        if at < since:
            break
        first = at
        took.append(int(ending[1]) / 1000)
        errors += request[1][0] == "5"
    took.sort()
    # All that there is of these minutes is here, unless even the first line is of them.
    whole = first is None or len(took) < len(lines) or len(lines) * 100 < MOST_BYTES
    seconds = WINDOW if whole else max(1, round(now - seconds_of(first)))
    return {
        "requests": len(took),
        "seconds": seconds,
        "per_minute": round(len(took) * 60 / seconds, 1),
        "p50_ms": percentile(took, 0.5),
        "p95_ms": percentile(took, 0.95),
        "errors": errors,
        "error_rate": errors / len(took) if took else 0.0,
        "last": last,
    }


def seconds_of(at: str) -> float:
    import calendar

    return calendar.timegm(time.strptime(at[:19] + "Z", FORMAT))


def percentile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None
