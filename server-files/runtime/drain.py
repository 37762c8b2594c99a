"""Ends a slot without losing a request; systemd runs it to stop the slot (ExecStop), after the routes have changed.

Apache's graceful stop closes idle connections, also one that a request has just been sent on. So first it waits until
nothing that was sent is unread. And Apache looks only once a second whether its processes have ended: this looks often.
"""

import os
import signal
import sys
import time

QUIET = 0.1
LOOK = 0.01


def unread(port: int) -> bool:
    """Whether a connection to the port, or its queue of new connections, holds something Apache has not read."""
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            _, local, _, _, queues, *_ = line.split()
            if int(local.rpartition(":")[2], 16) == port and int(queues.partition(":")[2], 16):
                return True
    return False


def await_quiet(port: int, deadline: float) -> None:
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        if unread(port):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= QUIET:
            return
        time.sleep(LOOK)


def has_children(pid: int) -> bool:
    """Whether one of its processes still works. Those that have ended stay in the list until Apache looks at them."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return any(works(child) for child in file.read().split())
    except OSError:
        return False


def works(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(pid: int, deadline: float) -> None:
    os.kill(pid, signal.SIGWINCH)
    # It ends its processes itself when its own limit is reached; until then this waits for them.
    while has_children(pid) and time.monotonic() < deadline:
        time.sleep(LOOK)
    os.kill(pid, signal.SIGTERM)
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(LOOK)


limit = time.monotonic() + int(os.environ.get("CLOUDTOOL_DRAIN_TIMEOUT") or 30)
main = int(os.environ.get("MAINPID") or 0)
if main:
    try:
        await_quiet(int(sys.argv[1]), limit)
        end(main, limit)
    except ProcessLookupError:
        pass
