"""A client of Redis, from the standard library alone: RESP version 2 over TCP or TLS, with answers read one by one.

Answers that are long texts can be taken in pieces, so that a value never has to fit into memory.
"""

import socket

PIECE = 256 * 1024


class Refused(Exception):
    """The server answered with an error."""


class Unreachable(Exception):
    """Nobody answers at the server's address, or the connection broke off."""


class Connection:
    def __init__(self, host, port, user, password, tls=None):
        """`tls`: an SSLContext, where the server is reached by TLS."""
        try:
            self.socket = socket.create_connection((host, port), timeout=120)
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        except OSError as problem:
            raise Unreachable(f"Redis at {host}:{port} does not answer: {problem}") from None
        self.stream = self.socket.makefile("rb", PIECE)
        # Many small commands travel together: each in a packet of its own would wait for the one before to be confirmed.
        self.output = self.socket.makefile("wb", PIECE)
        if password:
            self("AUTH", *([user] if user else []), password)

    def __call__(self, *words):
        """One command, and its answer."""
        self.send(pack(*words))
        return self.answer()

    def send(self, data):
        try:
            self.output.write(data)
        except OSError as problem:
            raise Unreachable(f"Redis broke off the connection: {problem}") from None

    def answer(self):
        kind, rest = self.header()
        if kind == b"$":
            return b"".join(self.pieces(rest)) if rest >= 0 else None
        if kind == b"*":
            return [self.answer() for _ in range(rest)] if rest >= 0 else None
        return rest

    def header(self):
        """The first line of an answer: its kind, and a number (of bytes, of elements) or a text."""
        try:
            self.output.flush()
            line = self.stream.readline()
        except OSError as problem:
            raise Unreachable(f"Redis does not answer: {problem}") from None
        if not line.endswith(b"\r\n"):
            raise Unreachable("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode("utf-8", "replace"))
        return kind, int(rest) if kind in b":$*" else rest

    def pieces(self, length):
        """The bytes of a text that the header has announced."""
        left = length
        while left:
            try:
                piece = self.stream.read1(min(left, PIECE))
            except OSError as problem:
                raise Unreachable(f"Redis does not answer: {problem}") from None
            if not piece:
                raise Unreachable("Redis closed the connection")
            left -= len(piece)
            yield piece
        self.stream.read(2)


def pack(*words):
    """A command as it is sent."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
