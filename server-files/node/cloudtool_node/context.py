"""What a verb is given: the request, the way to say something to the client, and the way to run a command.

A `Context` lives for one request. It ends every child it started when the client goes away (`abort`), unless the
verb has said that it is past the point of no return (`commit`).
"""

import contextlib
import json
import os
import re
import signal
import threading
import time

PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")


class Failure(Exception):
    """An error for the user. `code` is one of the error codes of the protocol, `message` and `hint` are one sentence."""

    def __init__(self, code, message, hint=None, step=None, details=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.step = step
        self.details = details


class Writer:
    """Events out. A client that is gone is not an error here: the work decides what that means."""

    def __init__(self, fd=1):
        self.fd = fd
        self.gone = False
        self.lock = threading.Lock()

    def write(self, event: dict, raw: bytes = b"") -> None:
        """`raw` follows the event's line."""
        data = memoryview((json.dumps(event, ensure_ascii=False) + "\n").encode("utf-8", "replace") + raw)
        with self.lock:
            while data and not self.gone:
                try:
                    data = data[os.write(self.fd, data) :]
                except OSError:
                    self.gone = True


class Step:
    """One step of a verb, told to the client when it begins and when it ends."""

    def __init__(self, ctx, name):
        self.ctx = ctx
        self.name = name
        self.detail = None

    def __enter__(self):
        self.ctx.check_aborted()
        self.started = time.monotonic()
        self.ctx.current_step = self.name
        self.ctx.event("step", step=self.name, state="start")
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None:
            if isinstance(error, Failure) and error.step is None:
                error.step = self.name
            return False
        done = {"step": self.name, "state": "done", "seconds": round(time.monotonic() - self.started, 3)}
        if self.detail is not None:
            done["detail"] = self.detail
        self.ctx.event("step", **done)
        self.ctx.current_step = None
        return False


class Context:
    @classmethod
    def for_nobody(cls, verb: str, by: str = "cloudtool", **request) -> "Context":
        """Of work that no client has asked for: its events go nowhere."""
        return cls({"verb": verb, "by": by, **request}, Writer(os.open(os.devnull, os.O_WRONLY)))

    def __init__(self, request: dict, out: Writer):
        self.request = request
        self.by = str(request.get("by") or "unknown")
        self.out = out
        self.current_step = None
        self.started = time.monotonic()
        self._secrets = []
        self._settings = []
        self._aborted = False
        self._committed = False
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Locks that a script of a service holds too: when we are killed, whoever comes next waits for the script's end.
        self.held: list[int] = []
        # The apps whose live slot nobody else starts or stops now (lock.waking).
        self.waking: set[str] = set()
        # What is to be closed when the request is over.
        self.at_end = contextlib.ExitStack()

    def close(self) -> None:
        self.at_end.close()
        os.close(self.wake)

    def wait(self, seconds: float) -> None:
        """A pause that an abort ends, with an error."""
        import select

        select.select([self.wake], [], [], seconds)
        self.check_aborted()

    # What is said to the client

    def event(self, kind: str, **fields) -> None:
        told = {"event": kind, **fields}
        self.out.write(replaced(told, self._secrets) if kind == "result" else self.redacted(told))

    def step(self, name: str) -> Step:
        return Step(self, name)

    def log(self, source: str, line: str) -> None:
        self.event("log", source=source, line=line)

    def warning(self, message: str) -> None:
        self.event("warning", message=message)

    def secret(self, value: str) -> None:
        """From now on `value`, and each of its lines, is replaced by *** in every event, also as programs write it."""
        self._secrets = longest_first(self._secrets, value)

    def setting(self, value: str) -> None:
        """The same but for results, in which only what we say ourselves is: what people set may be the name of a host, too."""
        self._settings = longest_first(self._settings, value)

    def secrets_in(self, text: str) -> None:
        """The same for the passwords of addresses (https://user:password@host/) in a text."""
        for password in PASSWORD_IN_ADDRESS.findall(text):
            self.secret(password)

    def redacted(self, value):
        return replaced(replaced(value, self._settings), self._secrets)

    # The client going away

    def abort(self) -> None:
        """Called by the watcher of standard input: the client is gone."""
        self._aborted = True
        os.eventfd_write(self.wake, 1)

    def commit(self) -> None:
        """The point of no return: from here the work is finished whether or not somebody listens."""
        self.check_aborted()
        self._committed = True

    def aborting(self) -> bool:
        return not self._committed and (self._aborted or self.out.gone)

    @contextlib.contextmanager
    def shielded(self):
        """Clearing up after an abort must not be aborted itself."""
        before, self._committed = self._committed, True
        try:
            yield
        finally:
            self._committed = before

    def check_aborted(self) -> None:
        if self.aborting():
            raise Failure("aborted", "The client went away, so the work was given up.")

    # Commands

    def run(
        self, argv, *, input=None, env=None, cwd=None, check=True, log=None, timeout=None, code="internal", pass_fds=()
    ):
        """Runs a command in a process group of its own and gives its CompletedProcess with text in it.

        `log` names the source under which its output is told to the client line by line. A command that fails
        raises Failure(code), one that takes longer than `timeout` seconds too; both, and an abort, end the group.
        """
        import subprocess

        self.check_aborted()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        except OSError as error:
            if check:
                raise Failure(code, f"{argv[0]} could not be started: {error.strerror}.") from error
            return subprocess.CompletedProcess(argv, 127, "", str(error))
        try:
            out, err = self._communicate(process, input, log, timeout, code, argv)
        except BaseException:
            end_group(process)
            raise
        result = subprocess.CompletedProcess(argv, process.returncode, out, err)
        if check and result.returncode != 0:
            raise Failure(code, _failed(argv, result), details={"log": _tail(err + out)})
        return result

    def _communicate(self, process, input, log, timeout, code, argv):
        import selectors

        deadline = None if timeout is None else time.monotonic() + timeout
        buffers = {process.stdout: bytearray(), process.stderr: bytearray()}
        unsaid = {process.stdout: b"", process.stderr: b""}
        pending = memoryview((input or "").encode())
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            for stream in buffers:
                selector.register(stream, selectors.EVENT_READ)
            if process.stdin:
                selector.register(process.stdin, selectors.EVENT_WRITE)
            while len(selector.get_map()) > 1 or process.poll() is None:
                only_waiting = len(selector.get_map()) == 1
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Failure(code, f"{_name(argv)} took longer than {timeout:g} s.")
                ready = selector.select(0.005 if only_waiting else left)
                self.check_aborted()
                if self._committed and self._aborted and self.wake in selector.get_map():
                    # Committed: the client's leaving changes nothing, but would make every select return at once.
                    _drain_eventfd(self.wake)
                for key, _ in ready:
                    stream = key.fileobj
                    if stream is process.stdin:
                        try:
                            pending = pending[os.write(stream.fileno(), pending[:65536]) :]
                        except BrokenPipeError:
                            pending = pending[:0]
                        if not pending:
                            selector.unregister(stream)
                            stream.close()
                    elif stream in buffers:
                        data = os.read(stream.fileno(), 65536)
                        buffers[stream] += data
                        if log:
                            unsaid[stream] = self._say_lines(log, unsaid[stream] + data, final=not data)
                        if not data:
                            selector.unregister(stream)
                            stream.close()
        process.wait()
        return tuple(bytes(buffer).decode("utf-8", "replace") for buffer in buffers.values())

    def _say_lines(self, source, data, final):
        """Tells the whole lines of `data`, gives back what is not a line yet."""
        *lines, rest = data.split(b"\n")
        if final and rest:
            lines, rest = [*lines, rest], b""
        for line in lines:
            self.log(source, line.decode("utf-8", "replace").rstrip("\r"))
        return rest


def longest_first(known: list[str], value: str) -> list[str]:
    """With a text that is to be replaced wherever it stands. A short one would be found in other words."""
    from . import written

    return sorted({*known, *(form for form in written.forms(value) if len(form) >= 6)}, key=len, reverse=True)


def replaced(value, secrets: list[str]):
    """Texts in whatever it is, without these."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {key: replaced(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replaced(item, secrets) for item in value]
    return value


def _drain_eventfd(fd):
    try:
        os.eventfd_read(fd)
    except BlockingIOError:
        pass


def end_group(process):
    """Ends a command with all it started; a moment to leave in good order, then none."""
    import subprocess

    for number, seconds in ((signal.SIGTERM, 2.0), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        if number == signal.SIGTERM:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        break
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream and not stream.closed:
            try:
                stream.close()
            except OSError:
                pass


def _name(argv):
    return os.path.basename(argv[0])


def _failed(argv, result):
    if result.returncode < 0:
        what = f"was ended by signal {-result.returncode}"
    else:
        what = f"failed with exit status {result.returncode}"
    last = _tail(result.stderr or result.stdout, 1)
    return f"{_name(argv)} {what}" + (f": {last[0]}" if last else ".")


def _tail(text, lines=30):
    return [line for line in text.splitlines() if line.strip()][-lines:]
