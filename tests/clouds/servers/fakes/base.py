"""What the fakes of clouds have in common: HTTP on the loopback, routes, who may ask, and a clock for what takes its time.

A fake is a small stateful cloud of ours. Its answers are held to the vendor's own OpenAPI document by a proxy in front of it, so it
gives whole objects; and it is strict: wrong names, unknown images and machines that are busy are refused as the vendor refuses them.
"""

import argparse
import base64
import ctypes
import hashlib
import json
import re
import signal
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# How long what a cloud does by itself takes: a machine is made, starts, stops, goes.
TAKES = 0.3
# An account has at most so many machines.
QUOTA = 3
# The account of the token `throttled-TOKEN` may ask so often a second.
BURST = 2
PR_SET_PDEATHSIG = 1


class Refused(Exception):
    """A request is refused with a status and a body; a fake's method makes one."""

    def __init__(self, status, body, headers=None):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}


class Ask:
    """One request."""

    def __init__(self, method, target, headers, body):
        self.method, self.headers = method, headers
        path, _, query = target.partition("?")
        self.path = path
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.raw = body

    def json(self):
        return json.loads(self.raw) if self.raw else {}

    def number(self, name, default, least, most):
        """A number of the query, between bounds."""
        text = self.query.get(name, "")
        return max(least, min(most, int(text))) if text.isdecimal() else default


def route(method, pattern):
    """Marks a method of a fake as what answers to these requests. `{name}` in the path becomes an argument."""
    path = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern) + r"\Z")

    def mark(function):
        function.routes = [*getattr(function, "routes", []), (method, path)]
        return function

    return mark


class Fake:
    """One cloud. A subclass has routes, and says how it refuses."""

    def __init__(self, token, public):
        self.token = token
        # The address that clients see, for links.
        self.public = public
        self.lock = threading.RLock()
        self.pending = []
        self.asked = []
        self.last_id = 1000
        found = [getattr(self, name) for name in dir(type(self)) if callable(getattr(type(self), name))]
        self.routes = [(method, path, one) for one in found for method, path in getattr(one, "routes", [])]

    # What a subclass says.

    def unauthorized(self):
        raise NotImplementedError

    def not_found(self):
        raise NotImplementedError

    def throttled(self):
        raise NotImplementedError

    # The clock.

    def later(self, change, after=TAKES):
        """Does `change` after a while: by the first request that comes then."""
        self.pending.append((time.monotonic() + after, change))

    def settle(self):
        now = time.monotonic()
        due = sorted((one for one in self.pending if one[0] <= now), key=lambda one: one[0])
        self.pending = [one for one in self.pending if one[0] > now]
        for _, change in due:
            change()

    def new_id(self):
        self.last_id += 1
        return self.last_id

    # Requests.

    def authorize(self, ask):
        """Refuses who is not known, and who asks too often."""
        given = ask.headers.get("authorization", "").removeprefix("Bearer ")
        if given not in (self.token, f"throttled-{self.token}"):
            raise self.unauthorized()
        if given != self.token:
            now = time.monotonic()
            self.asked = [moment for moment in self.asked if moment > now - 1]
            if len(self.asked) >= BURST:
                raise self.throttled()
            self.asked.append(now)

    def answer(self, ask):
        """Status, body (JSON, or None) and further headers."""
        with self.lock:
            self.settle()
            status, body, headers = self.handle(ask)
            return status, None if body is None else json.dumps(body).encode(), headers

    def handle(self, ask):
        try:
            for method, path, handler in self.routes:
                match = path.match(ask.path)
                if match and method == ask.method:
                    if not getattr(handler, "anonymous", False):
                        self.authorize(ask)
                    arguments = {k: urllib.parse.unquote(v) for k, v in match.groupdict().items()}
                    return (*handler(ask, **arguments), {})
            self.authorize(ask)
            raise self.not_found()
        except Refused as refused:
            return refused.status, refused.body, refused.headers


def fingerprint(line):
    """The MD5 of a public key, as clouds show it; None when it is none."""
    try:
        kind, blob = line.split()[:2]
        data = base64.b64decode(blob, validate=True)
    except ValueError:
        return None
    if data[4 : 4 + len(kind)] != kind.encode():
        return None
    return ":".join(f"{byte:02x}" for byte in hashlib.md5(data).digest())


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def page_of(items, page, size):
    """The items of a page (from 1) and the number of pages, which is 1 also for an empty list."""
    pages = max(1, -(-len(items) // size))
    return items[(page - 1) * size : page * size], pages


def serve(make, arguments=None):
    """Serves `make(options)` on a port of the loopback, until whoever started this ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--public", required=True, help="the address clients use, for links")
    if arguments:
        arguments(parser)
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    fake = make(options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content, extra = fake.answer(Ask(self.command, self.path, headers, body))
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            if content is not None:
                self.send_header("content-type", "application/json")
            if status != 204:
                self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()
