"""The protocol: one request a line on standard input, events on standard output, until standard input ends."""

import errno
import importlib
import json
import os
import select
import sys
import threading

from . import audit, checks, paths
from .context import Context, Failure, Writer

# Where each verb is, and whether it changes the node. Imported when it is asked for: a probe loads nothing of a deploy.
VERBS = {
    "activate": ("activate", True),
    "arrive": ("hand_over", True),
    "arrived": ("hand_over", True),
    "backup": ("backup", True),
    "backups": ("backup", False),
    "borrow": ("lend", True),
    "certificate": ("certificates", True),
    "clean": ("clean", True),
    "clear": ("restore", True),
    "clone": ("copies", True),
    "config": ("config", True),
    "configured": ("config", False),
    "contents": ("contents", False),
    "cron": ("cron_now", True),
    "cron_jobs": ("cron_now", False),
    "deactivate": ("activate", True),
    "deploy": ("deploy", True),
    "disable": ("disable", True),
    "doctor": ("doctor", False),
    "enable": ("disable", True),
    "export": ("copies", True),
    "hand_over": ("hand_over", True),
    "history": ("history", False),
    "lend": ("lend", True),
    "logs": ("logs", False),
    "probe": ("probe", False),
    "ps": ("ps", False),
    "query": ("query", False),
    "reclaim": ("lend", True),
    "releases": ("releases", False),
    "report": ("report", False),
    "remove": ("remove", True),
    "restart": ("ps", True),
    "restore": ("restore", True),
    "rollback": ("rollback", True),
    "rotate": ("rotate", True),
    "scale": ("ps", True),
    "schedule": ("schedule", True),
    "setup": ("setup", True),
    "shares": ("share_info", False),
    "sleep": ("sleeping", True),
    "status": ("status", False),
    "verify": ("restore", True),
    "version": ("probe", False),
    "wake": ("sleeping", True),
}
HAS_PAYLOAD = {"deploy"}
# What units of systemd run with its arguments, and clients for a terminal: never with a word that a user chose.
COMMANDS = {
    "backup": ("schedule", "run"),
    "boot": ("boot", "boot"),
    "certificates": ("unattended", "look_after_certificates"),
    "console": ("share_info", "console"),
    "cron": ("crons", "due"),
    "expire": ("unattended", "expire"),
    "guard": ("unattended", "guard"),
    "idle": ("unattended", "idle"),
    "job": ("crons", "work"),
    "run": ("run", "main"),
    "waker": ("waker", "main"),
}
# A manifest of 100,000 files is about 20 MB.
MAX_LINE = 64 << 20
NONSENSE = "The node program does not understand this request."


def main() -> int:
    os.umask(0o022)
    word, *words = sys.argv[1:] or [""]
    if word in COMMANDS:
        module, function = COMMANDS[word]
        return getattr(importlib.import_module(f"cloudtool_node.{module}"), function)(*words)
    return converse()


def converse() -> int:
    out = Writer()
    source = Input(0)
    while (line := source.line()) is not None:
        if len(line) > MAX_LINE:
            out.write(error_event(checks.bad(f"A request has at most {MAX_LINE >> 20} MB."), None))
        elif line.strip():
            answer(line, source, out)
    return 0


class Input:
    """Standard input: lines, and after some of them a payload in chunks."""

    def __init__(self, fd: int):
        self.fd = fd
        self.buffer = bytearray()

    def line(self) -> bytes | None:
        """The next line; of one that is too long, as much as shows that it is."""
        searched = 0
        while (end := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer)
            if searched > MAX_LINE:
                # The rest of it is read, so that the next request is found, and not kept.
                del self.buffer[MAX_LINE + 1 :]
                searched = MAX_LINE
            if not self._fill():
                return None
        line = bytes(self.buffer[: min(end, MAX_LINE + 1)])
        del self.buffer[: end + 1]
        return line

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; nothing at the end."""
        if not self.buffer:
            # As much as comes at once: room for more would be got from the kernel and given back at every read.
            return os.read(self.fd, min(size, 1 << 16))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def _fill(self) -> bool:
        data = os.read(self.fd, 1 << 16)
        self.buffer += data
        return bool(data)


class Payload:
    """The bytes after a request that has some: chunks with their length before them, the last one empty."""

    def __init__(self, source: Input, expected: bool):
        self.source = source
        self.left = 0
        self.ended = not expected

    def read(self, size: int) -> bytes:
        if self.left == 0 and not self.ended:
            self.left = int.from_bytes(self._exactly(4), "big")
            self.ended = self.left == 0
        if self.ended:
            return b""
        data = self.source.read(min(size, self.left))
        if not data:
            raise Failure("aborted", "The connection ended in the middle of the upload.")
        self.left -= len(data)
        return data

    def drain(self) -> None:
        """What nobody wanted, so that the next request is found."""
        try:
            while self.read(1 << 20):
                pass
        except Failure:
            self.ended = True

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.source.read(size - len(data))
            if not more:
                self.ended = True
                raise Failure("aborted", "The connection ended in the middle of the upload.")
            data += more
        return data


class Watcher:
    """Notices while a request runs that the other end of standard input is gone. It reads nothing: what the client has
    sent ahead stays there."""

    def __init__(self, ctx: Context, fd: int):
        self.ctx = ctx
        self.fd = fd
        self.stop = os.eventfd(0, os.EFD_CLOEXEC)
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.eventfd_write(self.stop, 1)
        self.thread.join()
        os.close(self.stop)

    def _watch(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLHUP | select.POLLRDHUP | select.POLLERR)
        poll.register(self.stop, select.POLLIN)
        if all(fd != self.stop for fd, _ in poll.poll()):
            self.ctx.abort()


def parsed(line: bytes) -> dict:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise checks.bad(NONSENSE)
    return request


def answer(line: bytes, source: Input, out: Writer) -> bool:
    """Says whether it went well."""
    try:
        request = parsed(line)
        module, changing = VERBS[request["verb"]]
    except (KeyError, TypeError, Failure):
        out.write(error_event(checks.bad(NONSENSE), None))
        return False
    verb = request["verb"]
    ctx = Context(request, out)
    payload = Payload(source, verb in HAS_PAYLOAD)
    result = None
    try:
        if changing:
            with Watcher(ctx, source.fd):
                result = perform(ctx, module, verb, payload)
        else:
            result = perform(ctx, module, verb, payload)
        ctx.event("result", **result)
    except BaseException as error:
        failure = as_failure(error, ctx)
        event = ctx.redacted(error_event(failure, serving(request)))
        out.write(event)
        if changing:
            importlib.import_module("cloudtool_node.failures").keep(ctx, event)
        outcome = failure.code
        if not isinstance(error, Exception):
            raise
    else:
        outcome = "ok"
    finally:
        payload.drain()
        ctx.close()
    if changing:
        audit.record(ctx, outcome, (result or {}).get("release"))
    return outcome == "ok"


def perform(ctx, module, verb, payload) -> dict:
    require_root()
    return getattr(importlib.import_module(f"cloudtool_node.{module}"), verb)(ctx, payload)


def require_root() -> None:
    if os.geteuid() != 0:
        raise Failure("setup", "The node program must run as root.", "Log in as root, or as a user with sudo.")


def as_failure(error: BaseException, ctx: Context) -> Failure:
    if isinstance(error, Failure):
        if error.step is None:
            error.step = ctx.current_step
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("disk", "The node's disk is full.", "Free some space: cloudtool clean-node.", ctx.current_step)
    import traceback

    told = ctx.redacted(traceback.format_exc())
    try:
        sys.stderr.write(told)
    except OSError:
        pass
    message = ctx.redacted(f"The node program failed: {type(error).__name__}: {error}")
    return Failure("internal", message, "This is a bug of cloudtool; the node goes on as it was.", ctx.current_step)


def error_event(failure: Failure, live: str | None) -> dict:
    return {
        "event": "error",
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
        "step": failure.step,
        "serving": live,
        "details": failure.details,
    }


def serving(request: dict) -> str | None:
    """The release that serves the app of a request, as well as it can be told while something is broken."""
    from . import state

    try:
        found = state.load(checks.app_name(request.get("app")))
        return found.live if found else None
    except (Failure, OSError, ValueError, KeyError):
        return None


def require_program(request: dict) -> None:
    """A client deploys and sets up only with the program it carries: what they say to each other must fit."""
    installed = paths.program_version()
    if request.get("program") != installed:
        raise Failure(
            "program",
            f"The node has version {installed or 'unknown'} of the node program, not {request.get('program')}.",
            "Run cloudtool setup-node.",
        )
