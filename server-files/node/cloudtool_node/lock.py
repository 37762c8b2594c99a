"""Locks that the kernel frees: one an app, and one of the node for what apps share (ports, routes, packages).

The locked file says who holds it; whoever waits tells its client.
"""

import contextlib
import fcntl
import json
import os
import time

from . import checks, paths
from .context import Failure
from .times import now


def app_file(app: str) -> str:
    return f"{paths.LOCKS}/app-{app}"


@contextlib.contextmanager
def app(ctx, name: str, verb: str):
    """Holds the app for this request; waits `lock_timeout` seconds of the request for it."""
    with ctx.step("lock"):
        fd = _acquire(ctx, app_file(name), patience(ctx))
    try:
        _sign(ctx, fd, verb)
        ctx.held.append(fd)
        yield
    finally:
        if fd in ctx.held:
            ctx.held.remove(fd)
        with contextlib.suppress(OSError):
            os.truncate(fd, 0)
            # An app that is gone, or never was, leaves no lock behind; whoever waits for it notices (`_try`).
            if not os.path.exists(paths.state(name)):
                os.unlink(app_file(name))
        # Whatever a script may have left running.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


@contextlib.contextmanager
def backup(ctx, name: str):
    """Holds the data of an app: while they are read they are not exchanged, and updates go on."""
    with ctx.step("lock"):
        fd = _acquire(ctx, f"{paths.LOCKS}/backup-{name}", patience(ctx), "working on the data of this app")
    try:
        _sign(ctx, fd, str(ctx.request.get("verb")))
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(f"{paths.LOCKS}/backup-{name}")
        os.close(fd)


@contextlib.contextmanager
def waking(ctx, name: str):
    """Holds which slot of an app is live and whether it runs, for as long as it takes to start or to stop it. Who holds it
    already goes on."""
    if name in ctx.waking:
        yield
        return
    fd = _acquire(ctx, f"{paths.LOCKS}/waking-{name}", 600, "waking this app, or putting it to sleep")
    ctx.waking.add(name)
    try:
        yield
    finally:
        ctx.waking.remove(name)
        with contextlib.suppress(OSError):
            os.unlink(f"{paths.LOCKS}/waking-{name}")
        os.close(fd)


@contextlib.contextmanager
def certificates(ctx):
    """Certificates are asked for one after the other."""
    fd = _acquire(ctx, f"{paths.LOCKS}/certificates", 3600, "asking for a certificate")
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def setup(ctx):
    """Two set-ups of one node at once would wait for each other in apt, and mix their reloads."""
    fd = _acquire(ctx, f"{paths.LOCKS}/setup", ctx.request.get("lock_timeout") or 0, "setting this node up")
    try:
        _sign(ctx, fd, "setup")
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def service(ctx, name: str):
    """Holds the installation of a service, which apps share."""
    fd = _acquire(ctx, f"{paths.LOCKS}/service-{name}", 3600, f"installing {name}")
    try:
        _sign(ctx, fd, "deploy")
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def node(ctx, timeout: float = 600):
    """Holds what all apps share, for moments only."""
    fd = _acquire(ctx, f"{paths.LOCKS}/node", timeout)
    try:
        yield
    finally:
        os.close(fd)


def patience(ctx) -> int:
    """How many seconds the request waits for somebody else."""
    return checks.whole_number(ctx.request.get("lock_timeout") or 0, "lock_timeout", 0, 86400)


def holder(path: str) -> dict | None:
    """Who holds a lock, or None when it is free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        try:
            return json.loads(os.read(fd, 4096))
        except ValueError:
            return None
    finally:
        os.close(fd)


def _sign(ctx, fd: int, verb: str) -> None:
    """Writes into the file who holds it."""
    owner = {"owner": ctx.by, "verb": verb, "since": now()}
    # On a full disk nobody learns who holds it, and whoever frees some space still can.
    with contextlib.suppress(OSError):
        os.truncate(fd, 0)
        os.pwrite(fd, json.dumps(owner).encode(), 0)


def _acquire(ctx, path: str, timeout: float, doing: str = "working on this app") -> int:
    os.makedirs(paths.LOCKS, 0o755, exist_ok=True)
    # A look at who holds the lock takes it for an instant, so even a timeout of 0 tries for a few milliseconds.
    deadline = time.monotonic() + max(timeout, 0.03)
    told = None
    while True:
        fd = _try(path)
        if fd is not None:
            return fd
        owner = holder(path)
        if time.monotonic() >= deadline:
            who = f"{owner['owner']} ({owner['verb']} since {owner['since']})" if owner else "Somebody else"
            raise Failure("busy", f"{who} is {doing}.", "Try again when that has ended.")
        if owner and owner != told:
            ctx.event("waiting", **{"for": "lock"}, **owner)
            told = owner
        ctx.check_aborted()
        time.sleep(0.01)


def _try(path: str) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Removing an app removes its lock file: a lock on a file that has no name any more locks nothing.
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
