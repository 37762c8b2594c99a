"""A directory of another server as a store: a small client of SFTP (version 3), over the system's own `ssh`.

Of our own, because the rclone of Ubuntu 22.04 (1.53) does not check the server's key, and `ssh` is on every node. The user's
key and the server's are given to it by descriptors: they are on no disk and on no command line.
"""

import contextlib
import os
import re
import struct
import subprocess

from . import checks, streams
from .context import Failure
from .store import OBJECT, Store

# Every server takes so much at once; so many questions are under way.
BLOCK = 32 << 10
AHEAD = 48
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
PARTIAL = re.compile(rf"\.({OBJECT.pattern})\.partial")
HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*")
# The name under which ssh finds the keys that we know the server by, whatever it is called.
ALIAS = "cloudtool-store"

INIT, VERSION, OPEN, CLOSE, READ, WRITE, OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME = (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 17, 18)  # fmt: skip
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = (101, 102, 103, 104, 105, 200)
OK, END, NO_SUCH_FILE = 0, 1, 2
TO_READ, TO_WRITE_ANEW = 0x01, 0x02 | 0x08 | 0x10
HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_MORE = 0x01, 0x02, 0x04, 0x08, 0x80000000
DIRECTORY = 0o040000


class SshStore(Store):
    def __init__(self, ctx, about: dict, app: str):
        self.ctx = ctx
        self.app = app
        self.host = _matching(HOST, about.get("host"), "host")
        self.user = _matching(USER, about.get("user"), "user")
        self.port = checks.whole_number(about.get("port"), "The port of the store", 1, 65535)
        self.path = checks.text(about.get("path"), "The path of the store") or "."
        self.key = checks.text(about.get("key"), "The key of the store") or ""
        ctx.secret(self.key)
        self.host_keys = [
            _matching(HOST_KEY, key, "host key") for key in checks.texts(about.get("host_keys"), "The host keys")
        ]
        if "\0" in self.path or not self.host_keys:
            raise checks.bad("The store has no host key, or a NUL in its path.")
        self.name = f"ssh://{self.user}@{self.host}:{self.port}/{self.path.lstrip('/')}"
        self._sftp: Sftp | None = None
        ctx.at_end.callback(self.hang_up)

    @property
    def sftp(self) -> "Sftp":
        if self._sftp is None:
            self._sftp = Sftp(self)
        return self._sftp

    def apps(self) -> list[str]:
        """Whose backups there may be."""
        entries = self.sftp.entries(self.path)
        return sorted(name for name, (mode, _, _) in entries.items() if mode & DIRECTORY and checks.APP.fullmatch(name))

    def hang_up(self) -> None:
        """The next question makes a new connection."""
        if self._sftp:
            self._sftp.hang_up()
            self._sftp = None

    def list(self) -> dict[str, int]:
        entries = self.sftp.entries(f"{self.path}/{self.app}")
        return {name: size for name, (_, size, _) in entries.items() if OBJECT.fullmatch(name)}

    def read(self, name: str, size: int):
        """The bytes of an object, in pieces."""
        handle = self.sftp.open(self._path(name), TO_READ)
        asked, expected = 0, []
        while asked < size or expected:
            while asked < size and len(expected) < AHEAD:
                length = min(BLOCK, size - asked)
                expected.append((self.sftp.ask_to_read(handle, asked, length), asked, length))
                asked += length
            number, offset, length = expected.pop(0)
            data = self.sftp.data(number)
            while data and len(data) < length:
                more = self.sftp.data(self.sftp.ask_to_read(handle, offset + len(data), length - len(data)))
                if not more:
                    break
                data += more
            if data:
                yield data
            if len(data) < length:
                # It ends here: what was asked for beyond is nothing.
                asked = size
        self.sftp.close(handle)

    @contextlib.contextmanager
    def writer(self, name: str):
        writer = SshWriter(self, name)
        try:
            yield writer
        finally:
            writer.give_up()

    def delete(self, name: str) -> None:
        self.sftp.remove(self._path(name))

    def sweep(self, before: float) -> None:
        """Takes away what was begun and last written to before that time."""
        for name, (_, _, changed) in self.sftp.entries(f"{self.path}/{self.app}").items():
            if PARTIAL.fullmatch(name) and changed < before:
                self.sftp.remove(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.path}/{self.app}/{name}"


class SshWriter:
    """An object on its way: under a name that nobody lists, until it is whole."""

    def __init__(self, store: SshStore, name: str):
        self.store = store
        self.sftp = store.sftp
        self.ctx = store.ctx
        self.path = store._path(name)
        self.partial = store._path(f".{name}.partial")
        self.offset = 0
        self.unanswered: list[int] = []
        self.sftp.make_directories(f"{store.path}/{store.app}")
        self.handle: bytes | None = self.sftp.open(self.partial, TO_WRITE_ANEW)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(view), BLOCK):
            block = view[begin : begin + BLOCK]
            self.unanswered.append(self.sftp.ask_to_write(self.handle, self.offset, block))
            self.offset += len(block)
            self._settle(AHEAD)

    def commit(self) -> None:
        self._settle(0)
        self.sftp.sync(self.handle)
        self.sftp.close(self.handle)
        self.handle = None
        self.sftp.rename(self.partial, self.path)

    def give_up(self) -> None:
        """What is not committed is taken back. Where that fails too, it is never listed."""
        if self.handle is not None:
            with self.ctx.shielded(), contextlib.suppress(Failure, OSError):
                # Half a packet may be on its way: that conversation understands nothing any more.
                self.store.hang_up()
                self.store.sftp.remove(self.partial)

    def _settle(self, allowed: int) -> None:
        while len(self.unanswered) > allowed:
            self.sftp.done(self.unanswered.pop(0))


class Sftp:
    """A conversation with a server. Questions have numbers, and may be answered in any order."""

    def __init__(self, store: SshStore):
        self.ctx = store.ctx
        self.store = store
        self.number = 0
        self.answers: dict[int, tuple[int, bytes]] = {}
        with contextlib.ExitStack() as stack:
            key = stack.enter_context(streams.held(store.key))
            known = stack.enter_context(streams.held("".join(f"{ALIAS} {key}\n" for key in store.host_keys)))
            argv = [
                "ssh", "-F/dev/null", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oLogLevel=ERROR",
                "-oStrictHostKeyChecking=yes", "-oUpdateHostKeys=no", "-oGlobalKnownHostsFile=/dev/null",
                f"-oUserKnownHostsFile={known}", f"-oHostKeyAlias={ALIAS}", "-oConnectTimeout=20",
                "-oServerAliveInterval=15", "-oServerAliveCountMax=4", f"-i{key}", f"-p{store.port}", f"-l{store.user}",
                "-s", "--", store.host, "sftp",
            ]  # fmt: skip
            self.chain = streams.Chain(store.ctx, store.name, [(argv, None)], subprocess.PIPE, subprocess.PIPE)
            self.out = streams.Pipe(store.ctx, self.chain.input)
            self.source = streams.Source(store.ctx, self.chain.output)
            try:
                self.extensions = self._greet()
            except BaseException:
                self.hang_up()
                raise

    def _greet(self) -> list[bytes]:
        """Gives the names of what the server can do beyond the version's own."""
        self._write(struct.pack(">BI", INIT, 3))
        kind, body = self._read()
        if kind != VERSION:
            raise self._nonsense()
        return _strings(body[4:])[::2]

    def entries(self, path: str) -> dict[str, tuple[int, int, int]]:
        """Mode, size and time of the last change of what is in a directory; nothing when there is none."""
        number = self._ask(OPENDIR, _string(path))
        kind, body = self._answer(number)
        if kind == STATUS and _code(body) == NO_SUCH_FILE:
            return {}
        handle = self._handle(kind, body, path)
        found = {}
        while True:
            kind, body = self._answer(self._ask(READDIR, _string(handle)))
            if kind != NAME:
                if _code(body) != END:
                    raise self._refused(body, path)
                self.close(handle)
                return found
            found.update(self._names(body))

    def open(self, path: str, flags: int) -> bytes:
        attributes = struct.pack(">II", HAS_MODE, 0o600) if flags != TO_READ else struct.pack(">I", 0)
        kind, body = self._answer(self._ask(OPEN, _string(path) + struct.pack(">I", flags) + attributes))
        return self._handle(kind, body, path)

    def close(self, handle: bytes) -> None:
        self.done(self._ask(CLOSE, _string(handle)))

    def ask_to_read(self, handle: bytes, offset: int, length: int) -> int:
        return self._ask(READ, _string(handle) + struct.pack(">QI", offset, length))

    def data(self, number: int) -> bytes:
        """What was read; nothing at the end."""
        kind, body = self._answer(number)
        if kind == DATA:
            return _first_string(body)
        if kind == STATUS and _code(body) == END:
            return b""
        raise self._refused(body, "reading")

    def ask_to_write(self, handle: bytes, offset: int, data) -> int:
        return self._ask(WRITE, _string(handle) + struct.pack(">QI", offset, len(data)), data)

    def done(self, number: int, what: str = "writing", fine=(OK,)) -> None:
        kind, body = self._answer(number)
        if kind != STATUS or _code(body) not in fine:
            raise self._refused(body, what)

    def sync(self, handle: bytes) -> None:
        if b"fsync@openssh.com" in self.extensions:
            self.done(self._ask(EXTENDED, _string("fsync@openssh.com") + _string(handle)))

    def rename(self, path: str, to: str) -> None:
        """A name of the same backup that is there already is replaced where the server can do that at once."""
        if b"posix-rename@openssh.com" in self.extensions:
            self.done(self._ask(EXTENDED, _string("posix-rename@openssh.com") + _string(path) + _string(to)), to)
        else:
            self.done(self._ask(RENAME, _string(path) + _string(to)), to)

    def remove(self, path: str) -> None:
        self.done(self._ask(REMOVE, _string(path)), path, (OK, NO_SUCH_FILE))

    def make_directories(self, path: str) -> None:
        kind, body = self._answer(self._ask(STAT, _string(path)))
        if kind == ATTRS:
            return
        if _code(body) != NO_SUCH_FILE or path in ("", "/", "."):
            raise self._refused(body, path)
        self.make_directories(os.path.dirname(path) or ("/" if path.startswith("/") else "."))
        self.done(self._ask(MKDIR, _string(path) + struct.pack(">II", HAS_MODE, 0o700)), path)

    # Packets: a length, a kind, a number, and what belongs to the kind

    def _ask(self, kind: int, body: bytes, data=b"") -> int:
        self.number += 1
        self._write(struct.pack(">BI", kind, self.number) + body, data)
        return self.number

    def _write(self, packet: bytes, data=b"") -> None:
        try:
            self.out.write(struct.pack(">I", len(packet) + len(data)) + packet + bytes(data))
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self, number: int) -> tuple[int, bytes]:
        while number not in self.answers:
            kind, body = self._read()
            if len(body) < 8:
                raise self._nonsense()
            self.answers[int.from_bytes(body[:4], "big")] = (kind, body[4:])
        return self.answers.pop(number)

    def _read(self) -> tuple[int, bytes]:
        length = int.from_bytes(self._exactly(4), "big")
        if not 1 <= length <= 1 << 20:
            raise self._nonsense()
        packet = self._exactly(length)
        return packet[0], packet[1:]

    def _exactly(self, size: int) -> bytes:
        data = self.source.read(size)
        if len(data) < size:
            raise self._ended()
        return data

    def _handle(self, kind: int, body: bytes, path: str) -> bytes:
        if kind != HANDLE:
            raise self._refused(body, path)
        return _first_string(body)

    def _names(self, body: bytes):
        """(name, (mode, size, time)) of each entry."""
        (count,) = struct.unpack_from(">I", body)
        at = 4
        for _ in range(count):
            name, at = _string_at(body, at)
            _, at = _string_at(body, at)
            (flags,) = struct.unpack_from(">I", body, at)
            at += 4
            mode = size = changed = 0
            if flags & HAS_SIZE:
                (size,) = struct.unpack_from(">Q", body, at)
                at += 8
            if flags & HAS_OWNER:
                at += 8
            if flags & HAS_MODE:
                (mode,) = struct.unpack_from(">I", body, at)
                at += 4
            if flags & HAS_TIMES:
                _, changed = struct.unpack_from(">II", body, at)
                at += 8
            if flags & HAS_MORE:
                raise self._nonsense()
            yield name.decode("utf-8", "replace"), (mode, size, changed)

    def _refused(self, body: bytes, what: str) -> Failure:
        said = _first_string(body[4:]).decode("utf-8", "replace") if len(body) >= 8 else "no reason given"
        return Failure("store", f"{self.store.name}: {what}: {said}.")

    def _nonsense(self) -> Failure:
        return Failure(
            "store", f"{self.store.name} speaks no SFTP.", "The account's shell must print nothing at the login."
        )

    def _ended(self) -> Failure:
        """ssh says why."""
        process, said = self.chain.processes[0]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        said.seek(0)
        lines = said.read(1 << 16).decode("utf-8", "replace").splitlines()
        lines = [line.strip() for line in lines if line.strip(" @")]
        reason = lines[-1].rstrip(".") if lines else "the connection ended"
        hint = "Look at `host_key` of the destination, and at known_hosts." if "Host key" in reason else None
        return Failure("store", f"{self.store.name}: {reason}.", hint)

    def hang_up(self) -> None:
        self.chain.end()
        self.chain.__exit__(None)


def _string(value) -> bytes:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def _string_at(body: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">I", body, at)
    return body[at + 4 : at + 4 + length], at + 4 + length


def _first_string(body: bytes) -> bytes:
    return _string_at(body, 0)[0]


def _strings(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 4 <= len(body):
        text, at = _string_at(body, at)
        found.append(text)
    return found


def _code(body: bytes) -> int:
    return int.from_bytes(body[:4], "big")


def _matching(pattern: re.Pattern, value, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise checks.bad(f"{value!r} is no {what} of a store.")
    return value
