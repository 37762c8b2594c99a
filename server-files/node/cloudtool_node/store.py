"""Where backups lie (docs/architecture.md, "Backups"): a few named objects of an app, written whole or not at all.

The client's disk is reached over the session, what is elsewhere from the node itself: s3.py, sftp.py.
"""

import contextlib
import json
import re
import select

from . import checks
from .context import Failure

OBJECT = re.compile(r"[0-9]{8}T[0-9]{6}Z(\.[a-z][a-z0-9_-]*(\.tree|\.pack)?\.zst(\.age)?|\.json)")
# One request's worth of bytes, and how many of them are under way before an answer is waited for.
WINDOW = 4 << 20
AHEAD = 2
# Written in pieces of this size; what is under way fills the line of somebody far away.
PIECE = 1 << 20
PIECES_AHEAD = 32


def open_store(ctx, payload, app: str):
    """`app`: whose objects are meant. `payload` is where the client's answers come from; None where there is no client."""
    about = ctx.request.get("store")
    kind = about.get("kind") if isinstance(about, dict) else None
    if kind == "client" and payload:
        client = ClientStore(ctx, payload.source, app, str(about.get("name") or "client"))
        client.once = bool(about.get("once"))
        return client
    if kind == "s3":
        from .s3 import S3Store

        return S3Store(ctx, about, app)
    if kind == "ssh":
        from .sftp import SshStore

        return SshStore(ctx, about, app)
    raise checks.bad("The store is of no kind that this node knows.")


def object_name(value) -> str:
    if not isinstance(value, str) or not OBJECT.fullmatch(value):
        raise Failure("damaged", f"{value!r} is not the name of an object of a backup.", "Take another backup.")
    return value


class Store:
    """What all of them have. `name` tells one destination from another; `once`: it is for one backup, nothing rests on it."""

    name: str
    once = False

    def read_whole(self, name: str, limit: int) -> bytes:
        data = b"".join(self.read(name, limit))
        if len(data) >= limit:
            raise Failure("damaged", f"{name} is too long.", "Take another backup.")
        return data


class ClientStore(Store):
    """The client's disk: the node asks over the session, and the client answers in the order of the questions."""

    def __init__(self, ctx, source, app: str, name: str):
        self.ctx = ctx
        self.source = source
        self.app = app
        self.name = name

    def list(self) -> dict[str, int]:
        self._ask("list")
        found = self._answer().get("objects")
        return {name: size for name, size in found.items() if OBJECT.fullmatch(name)}

    def read(self, name: str, size: int):
        """The bytes of an object, in pieces. `size` is what it should have; more is not read."""
        asked = 0
        expected = []
        while asked < size or expected:
            while asked < size and len(expected) < AHEAD:
                length = min(WINDOW, size - asked)
                self._ask("read", name=name, offset=asked, length=length)
                expected.append(length)
                asked += length
            told = self._answer()
            left = told.get("bytes")
            if not isinstance(left, int) or not 0 <= left <= expected.pop(0):
                raise _nonsense()
            while left:
                data = self.source.read(min(left, 1 << 20))
                if not data:
                    raise _lost()
                left -= len(data)
                yield data

    @contextlib.contextmanager
    def writer(self, name: str):
        writer = ClientWriter(self, name)
        try:
            yield writer
        finally:
            # Also after a refusal: what is left unread would be taken for the next request.
            while writer.unanswered:
                with contextlib.suppress(Failure):
                    writer.settle(writer.unanswered - 1)

    def delete(self, name: str) -> None:
        self._ask("delete", name=name)
        self._answer()

    def sweep(self, _before: float) -> None:
        """The client knows how old its files are."""
        self._ask("sweep")
        self._answer()

    def handed(self, backup: str | None, patience: int) -> None:
        """Returns when the client says that what is in the store is in use where it belongs."""
        self._ask("handed", backup=backup)
        if not self.source.buffer:
            poll = select.poll()
            poll.register(self.source.fd, select.POLLIN)
            if not poll.poll(patience * 1000):
                raise Failure("aborted", f"The other node was not heard of for {patience} s.")
        self._answer()

    def _ask(self, op: str, raw=b"", **fields) -> None:
        self.ctx.check_aborted()
        self.ctx.out.write({"event": "store", "op": op, "app": self.app, **fields}, raw)

    def _answer(self) -> dict:
        line = self.source.line()
        if line is None:
            raise _lost()
        try:
            told = json.loads(line)
        except ValueError:
            raise _nonsense() from None
        if not isinstance(told, dict):
            raise _nonsense()
        if "error" in told:
            raise Failure("store", f"The place of the backups does not work: {told['error']}.")
        return told


class ClientWriter:
    def __init__(self, store: ClientStore, name: str):
        self.store = store
        self.name = name
        self.unanswered = 0
        self.piece = bytearray()

    def write(self, data: bytes) -> None:
        self.piece += data
        if len(self.piece) >= PIECE:
            self._send()

    def _send(self) -> None:
        if self.piece:
            self.store._ask("write", bytes(self.piece), name=self.name, bytes=len(self.piece))
            self.piece.clear()
            self.unanswered += 1
            self.settle(PIECES_AHEAD)

    def commit(self) -> None:
        self._send()
        self.store._ask("commit", name=self.name)
        self.unanswered += 1
        self.settle(0)

    def settle(self, allowed: int) -> None:
        while self.unanswered > allowed:
            self.unanswered -= 1
            self.store._answer()


def _lost() -> Failure:
    return Failure("aborted", "The connection ended in the middle of a backup.")


def _nonsense() -> Failure:
    return Failure("bad-request", "The client's answer about its store is not one.")
