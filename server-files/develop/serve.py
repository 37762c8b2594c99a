"""A Python app on a developer's machine: what Apache and mod_wsgi do on a node, with the same loader.

What goes wrong is told to the front by a header and a JSON document, which it makes a page of. An app that cannot be loaded
is tried again at each request.
"""

import importlib.util
import json
import linecache
import os
import socketserver
import sys
import threading
import traceback
import urllib.parse
from wsgiref.handlers import SimpleHandler

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.path.join(os.path.dirname(HERE), "runtime", "wsgi.py")
# Lines of the source that are shown around the one that failed.
AROUND = 4


def loader():
    """runtime/wsgi.py, which loads nothing by itself under this name."""
    spec = importlib.util.spec_from_file_location("cloudtool_wsgi", RUNTIME)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class App:
    """The app, or why it is not there."""

    def __init__(self, wsgi):
        self.wsgi = wsgi
        self.lock = threading.Lock()
        self.loaded = None
        self.failure = None
        self.load()

    def load(self):
        with self.lock:
            if self.loaded is None:
                linecache.checkcache()
                try:
                    self.loaded = self.wsgi.with_location(self.wsgi.load())
                except (Exception, SystemExit) as error:
                    self.wsgi.tell(error, __file__)
                    self.failure = report(f"{os.environ['CLOUDTOOL_APP_NAME']} cannot be loaded.", error)

    def __call__(self, environ, start_response):
        if self.loaded is None:
            self.load()
        if self.loaded is None:
            return answer(self.failure, start_response)
        environ["cloudtool.devel"] = True
        return self.loaded(environ, start_response)


def answer(failure, start_response):
    headers = [("Content-Type", "application/json"), ("X-Cloudtool-Failure", "1")]
    start_response("500 Internal Server Error", headers)
    return [json.dumps(failure).encode()]


def report(message, error):
    """What the front shows of an exception: what it was caused by comes first."""
    traces = []
    told = traceback.TracebackException.from_exception(error)
    while told is not None:
        traces.append(trace(told))
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return {"message": message, "traces": traces[::-1], "missing": missing, "python": sys.executable}


def trace(told):
    frames = [frame(f.filename, f.lineno, f.name) for f in told.stack if not is_ours(f.filename)]
    title = "".join(told.format_exception_only()).strip()
    if issubclass(told.exc_type or Exception, SyntaxError) and told.filename:
        # It stands nowhere in the stack.
        frames.append(frame(told.filename, int(told.lineno or 0), ""))
        title = f"{told.exc_type.__name__}: {told.msg}"
    return {"title": title, "frames": frames}


def frame(path, number, function):
    root = os.environ["CLOUDTOOL_RELEASE_DIR"] + os.sep
    own = path.startswith(root) and "site-packages" not in path
    first = max(1, number - AROUND)
    code = [(n, linecache.getline(path, n).rstrip("\n")) for n in range(first, number + AROUND + 1)]
    while code and not code[-1][1]:
        code.pop()
    shown = path.removeprefix(root) if own else path
    return {"file": shown, "line": number, "function": function, "own": own, "code": code}


def is_ours(path):
    ours = (__file__, RUNTIME, importlib.__file__, sys.modules["wsgiref.handlers"].__file__)
    return path in ours or path.startswith("<frozen importlib")


class Body:
    """A request's body: it ends, where the connection does not."""

    def __init__(self, file, length):
        self.file = file
        self.left = length

    def read(self, size=-1):
        data = self.file.read(self.left if size is None or size < 0 else min(size, self.left))
        self.left -= len(data)
        return data

    def readline(self, size=-1):
        data = self.file.readline(self.left if size is None or size < 0 else min(size, self.left))
        self.left -= len(data)
        return data

    def readlines(self, hint=-1):
        return list(self)

    def __iter__(self):
        return iter(self.readline, b"")


class Chunks:
    """The pieces of a body whose length nobody knows before, one after the other, as if it were a file."""

    def __init__(self, file):
        self.file = file
        self.rest = b""
        self.ended = False

    def more(self):
        if self.ended:
            return False
        length = int(self.file.readline(32).split(b";")[0] or b"0", 16)
        self.rest += self.file.read(length)
        self.file.readline()
        self.ended = not length
        return True

    def read(self, size):
        while len(self.rest) < size and self.more():
            pass
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def readline(self, size):
        while b"\n" not in self.rest[:size] and len(self.rest) < size and self.more():
            pass
        end = self.rest.find(b"\n", 0, size) + 1 or min(size, len(self.rest))
        data, self.rest = self.rest[:end], self.rest[end:]
        return data


class Answering(SimpleHandler):
    """One answer; what an app raises becomes a report."""

    wsgi_run_once = False
    server_software = "cloudtool"
    http_version = "1.1"
    # The process's own variables are no part of a request.
    os_environ = {}

    def log_exception(self, exc_info):
        stderr = self.get_stderr()
        traceback.print_exception(*exc_info, file=stderr)
        stderr.flush()

    def error_output(self, environ, start_response):
        # What the app has begun to answer does not count.
        self.headers = None
        request = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
        start = lambda status, headers: start_response(status, headers, sys.exc_info())  # noqa: E731
        return answer(report(f"{request} failed.", sys.exc_info()[1]), start)


class Handler(socketserver.StreamRequestHandler):
    """One request a connection, from our own front: all that is sent is well-formed."""

    disable_nagle_algorithm = True

    def handle(self):
        line = self.line()
        # Somebody looked whether anybody listens.
        if not line:
            return
        method, target, _ = line.split(" ", 2)
        headers = {}
        while line := self.line():
            name, _, value = line.partition(":")
            # As in Apache, a name with `_` is none that another header could be taken for.
            if "_" not in name:
                key = name.upper().replace("-", "_")
                between = "; " if key == "COOKIE" else ", "
                headers[key] = headers[key] + between + value.strip() if key in headers else value.strip()
        if "X_CLOUDTOOL_READY" in headers:
            # The front asks what has become of the app; no request of anybody else's has that header.
            self.wfile.write(
                b"HTTP/1.0 204 Loaded\r\n\r\n" if self.server.app.loaded else b"HTTP/1.0 500 Not loaded\r\n\r\n"
            )
            return
        if headers.pop("EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("TRANSFER_ENCODING", "").lower():
            body = Body(Chunks(self.rfile), sys.maxsize)
        else:
            body = Body(self.rfile, int(headers.get("CONTENT_LENGTH") or 0))
        environ = about(method, target, headers)
        Answering(body, self.wfile, sys.stderr, environ, multithread=True, multiprocess=True).run(self.server.app)

    def line(self):
        return self.rfile.readline(1 << 20).decode("latin-1").rstrip("\r\n")


def about(method, target, headers):
    """What WSGI says of a request."""
    path, _, query = target.partition("?")
    host, _, port = headers.get("HOST", "localhost").partition(":")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        # Without what means nothing in a path, as Apache has it.
        "PATH_INFO": urllib.parse.unquote(headers.pop("X_CLOUDTOOL_PATH", path), "latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": headers.get("X_FORWARDED_FOR", "127.0.0.1"),
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "wsgi.input_terminated": True,
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if name in headers:
            environ[name] = headers.pop(name)
    return environ | {f"HTTP_{name}": value for name, value in headers.items()}


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A browser that went away is none of the developer's business.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    # The directory of this file is no place for the app's imports.
    sys.path[:] = [entry for entry in sys.path if entry != HERE]
    sys.argv[:] = [os.environ["CLOUDTOOL_RUNNER"]]
    app = App(loader())
    # Whoever connects from now on finds the app loaded. What http.server would need for that takes as long to load as all the rest.
    with Server(("127.0.0.1", int(os.environ["CLOUDTOOL_PORT"])), Handler) as server:
        server.app = app
        server.serve_forever(poll_interval=3600)


main()
