"""Bytes on their way between a service and a store: through commands, hashed where they lie, never whole in memory.

Outwards: a writer of ours or a service's `dump`, compressed, encrypted when asked. Inwards the same backwards.
"""

import contextlib
import fcntl
import hashlib
import os
import select
import subprocess
import threading
from functools import partial

from .context import Failure, end_group
from .store import object_name

CHUNK = 1 << 20
# Level 1 with one thread takes 3 MB, and is faster than SSH carries away what it makes.
COMPRESS = ["zstd", "--quiet", "-1", "--single-thread", "--stdout"]
TEXT_LIMIT = 16 << 20
DECOMPRESS = ["zstd", "--quiet", "--decompress", "--stdout"]


class Chain:
    """Commands of which each reads what the one before prints. Ends all of them when left with an error."""

    def __init__(self, ctx, what: str, commands: list[tuple[list[str], dict | None]], stdin, stdout):
        self.ctx = ctx
        self.what = what
        self.processes: list[tuple[subprocess.Popen, object]] = []
        source = stdin
        try:
            for number, (argv, environment) in enumerate(commands):
                last = number == len(commands) - 1
                said = os.fdopen(os.memfd_create("stderr"), "w+b")
                process = subprocess.Popen(
                    argv,
                    stdin=source,
                    stdout=stdout if last else subprocess.PIPE,
                    stderr=said,
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
                if number > 0:
                    source.close()
                for stream in (process.stdin, process.stdout):
                    widen(stream)
                self.processes.append((process, said))
                source = process.stdout
        except OSError as error:
            self.end()
            raise Failure(
                "setup", f"{argv[0]} could not be started: {error.strerror}.", "Run cloudtool setup-node."
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.end()
        for process, said in self.processes:
            said.close()
            for stream in (process.stdin, process.stdout):
                if stream and not stream.closed:
                    with contextlib.suppress(OSError):
                        stream.close()

    def end(self) -> None:
        for process, _ in self.processes:
            end_group(process)

    @property
    def input(self):
        return self.processes[0][0].stdin

    @property
    def output(self):
        return self.processes[-1][0].stdout

    def finish(self, code: str) -> None:
        """Waits for all of them; the first that failed is what is told."""
        for process, _ in self.processes:
            while True:
                self.ctx.check_aborted()
                try:
                    process.wait(0.05)
                    break
                except subprocess.TimeoutExpired:
                    continue
        for process, said in self.processes:
            if process.returncode:
                said.seek(0)
                lines = [line for line in said.read(1 << 16).decode("utf-8", "replace").splitlines() if line.strip()]
                name = os.path.basename(process.args[0])
                reason = lines[0] if lines else f"{name} ended with status {process.returncode}"
                raise Failure(code, f"{self.what}: {reason}", details={"log": lines[-30:]})


def widen(stream) -> None:
    """The kernel's 64 KB of a pipe mean a switch of processes each time."""
    if stream:
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, CHUNK)


def wait_for(ctx, fd: int, event: int) -> None:
    """Returns when `fd` can be read or written; an abort meanwhile is an error."""
    poll = select.poll()
    poll.register(fd, event)
    poll.register(ctx.wake, select.POLLIN)
    while True:
        ready = {found for found, _ in poll.poll()}
        ctx.check_aborted()
        if fd in ready:
            return
        poll.unregister(ctx.wake)


def read_chunks(ctx, stream):
    """What a command prints, in pieces of up to CHUNK bytes."""
    while True:
        wait_for(ctx, stream.fileno(), select.POLLIN)
        data = os.read(stream.fileno(), CHUNK)
        if not data:
            return
        yield data


class Pipe:
    """A file object that writes into a command; whoever reads too slowly is waited for."""

    def __init__(self, ctx, stream):
        self.ctx = ctx
        self.stream = stream
        os.set_blocking(stream.fileno(), False)

    def write(self, data) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.stream.fileno(), view) :]
            except BlockingIOError:
                wait_for(self.ctx, self.stream.fileno(), select.POLLOUT)

    def close(self) -> None:
        self.stream.close()


@contextlib.contextmanager
def beside(chain: Chain, work):
    """Runs `work` in a thread while the block runs; an error of the block ends the chain, one of `work` is raised after it."""
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run if work else lambda: None, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        chain.end()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]


def put(ctx, store, name: str, what: str, source, recipients: list[str]) -> dict:
    """Stores an object: what the command `source` (argv, environment) prints, or what the function `source` writes into
    the file object it is given. Gives its size and hash, as it lies there."""
    produced_by_command = isinstance(source, tuple)
    commands = ([source] if produced_by_command else []) + [(COMPRESS, None)]
    if recipients:
        commands.append((["age", "--encrypt", *(word for key in recipients for word in ("--recipient", key))], None))
    stdin = subprocess.DEVNULL if produced_by_command else subprocess.PIPE
    digest, size = hashlib.sha256(), 0
    with Chain(ctx, what, commands, stdin, subprocess.PIPE) as chain, store.writer(name) as writer:
        with beside(chain, None if produced_by_command else partial(produce, ctx, chain.input, source)):
            for data in read_chunks(ctx, chain.output):
                digest.update(data)
                size += len(data)
                writer.write(data)
        chain.finish("service")
        writer.commit()
    return {"bytes": size, "sha256": digest.hexdigest()}


def put_text(ctx, store, name: str, what: str, text: bytes) -> dict:
    """Stores what fits into memory. Gives what `get_text` is to be told."""
    return {"name": name, **put(ctx, store, name, what, lambda out: out.write(text), [])}


def get_text(ctx, store, about: dict, what: str) -> bytes:
    taken = []
    get(ctx, store, object_name(about["name"]), about, what, lambda source: taken.append(source.read(TEXT_LIMIT)), None)
    return taken[0]


def produce(ctx, stream, source) -> None:
    pipe = Pipe(ctx, stream)
    try:
        source(pipe)
    finally:
        pipe.close()


def consume(ctx, stream, sink) -> None:
    source = Source(ctx, stream)
    try:
        sink(source)
        # What follows is not wanted, but the commands before must not fail for it.
        while source.read(CHUNK):
            pass
    finally:
        # Whoever writes into it notices that nobody reads any more.
        stream.close()


def get(ctx, store, name: str, about: dict, what: str, sink, identity: str | None) -> None:
    """Reads an object of the store into the command `sink` (argv, environment), or into the function `sink`, which is
    given a file object. What does not have the size and the hash of `about` is an error, whatever the sink made of it."""
    commands = [(DECOMPRESS, None)]
    with contextlib.ExitStack() as stack:
        if name.endswith(".age"):
            key = stack.enter_context(held(require_identity(identity)))
            commands.insert(0, (["age", "--decrypt", "--identity", key], None))
        consumed_by_command = isinstance(sink, tuple)
        if consumed_by_command:
            commands.append(sink)
        stdout = subprocess.DEVNULL if consumed_by_command else subprocess.PIPE
        chain = stack.enter_context(Chain(ctx, what, commands, subprocess.PIPE, stdout))
        with beside(chain, None if consumed_by_command else partial(consume, ctx, chain.output, sink)):
            feed(ctx, store, name, about, chain.input)
        chain.finish("service")


def feed(ctx, store, name: str, about: dict, stream) -> None:
    """The whole object is read and hashed also when nobody wants it any more: then the reason may be that it is damaged."""
    pipe: Pipe | None = Pipe(ctx, stream)
    digest, size = hashlib.sha256(), 0
    for data in store.read(name, about["bytes"]):
        digest.update(data)
        size += len(data)
        if pipe:
            try:
                pipe.write(data)
            except BrokenPipeError:
                pipe = None
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    if size != about["bytes"] or digest.hexdigest() != about["sha256"]:
        raise Failure(
            "damaged",
            f"{name} is not what was backed up: it has {size} bytes instead of {about['bytes']}, or others.",
            "Nothing was changed. Take another backup.",
        )


class Source:
    """A file object that reads what a command prints, exactly as much as is asked for."""

    def __init__(self, ctx, stream):
        self.chunks = read_chunks(ctx, stream)
        self.buffer = bytearray()

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer at the end only."""
        while len(self.buffer) < size:
            data = next(self.chunks, b"")
            if not data:
                break
            self.buffer += data
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def lines(self):
        """All lines, to the end; what is behind the last newline is none."""
        rest = b""
        while data := self.read(CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
        if rest:
            raise Failure("damaged", "A list of files ends in the middle of a line.", "Take another backup.")


def require_identity(identity: str | None) -> str:
    if not identity:
        raise Failure("bad-request", "The backup is encrypted.", "Name the file with the key: --identity FILE.")
    return identity


@contextlib.contextmanager
def held(secret: str):
    """A path under which a command of ours can read a secret that lies on no disk, while the block runs."""
    fd = os.memfd_create("secret")
    try:
        # ssh uses no key that others than its user may read.
        os.fchmod(fd, 0o600)
        os.write(fd, secret.encode())
        yield f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)
