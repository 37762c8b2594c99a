"""What the `develop` scripts of services share: a server of the app's own on a developer's machine.

Such a script prints the variables as `provision` does. The server it has started runs until standard input ends; that it is
ready is said by the end of standard output.
"""

import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

APP = os.environ["CLOUDTOOL_APP"]
DATA = pathlib.Path(os.environ["CLOUDTOOL_SHARE_DATA"])
HOST = "127.0.0.1"
PATIENCE = 60


def fail(message):
    """Ends the script with one sentence for the person who asked."""
    sys.exit(message)


def given(*names):
    """What [devel] of the user's configuration says of these variables: the names without, and the values of the others."""
    return {name: os.environ[name] for name in names if name in os.environ}


def given_server(url, schemes, parts, default_port):
    """The developer's own server, from its URL or from its parts (prefix of the variables' names); None where nothing is said."""
    names = [f"{parts}_{part}" for part in ("HOST", "PORT", "USER", "PASSWORD", "DBNAME")]
    known = given(url, *names)
    if not known:
        return None
    split = urllib.parse.urlsplit(known.get(url, ""))
    if split.scheme and split.scheme.partition("+")[0] not in schemes:
        fail(f"{url} is no address of this service: it begins with {split.scheme}://, and not with {schemes[0]}://")
    unquote = urllib.parse.unquote
    login = pwd.getpwuid(os.geteuid()).pw_name
    defaults = (split.hostname or HOST, str(split.port or default_port), unquote(split.username or login))
    defaults += (unquote(split.password or ""), unquote(split.path.lstrip("/")) or APP)
    return {name: known.get(name, default) for name, default in zip(names, defaults, strict=True)}


def address(scheme, user, password, host, port, path):
    """All of it as a URL."""
    quote = lambda text: urllib.parse.quote(text, safe="")  # noqa: E731
    login = f"{quote(user)}:{quote(password)}" if password else quote(user)
    return f"{scheme}://{login}@{host}:{port}/{path}"


def program(name, package, *directories):
    """Where a program is, or whose package it comes with."""
    path = os.pathsep.join([*map(str, directories), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    return shutil.which(name, path=path) or fail(
        f"{name} is not on this machine: apt install {package}, or name a server of your own in [devel:{APP}]"
        " of cloudtool.ini"
    )


def kept(name, make):
    """A line that stays the same from one run to the next."""
    path = DATA / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make())
    return path.read_text()


def password():
    return kept("password", lambda: secrets.token_hex(24))


def port():
    """The port of the last time, unless somebody else has it by now."""
    last = int(kept("port", lambda: "0"))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, last))
        except OSError:
            taken.bind((HOST, 0))
        found = taken.getsockname()[1]
    (DATA / "port").write_text(str(found))
    return found


def as_somebody(user):
    """Options of subprocess for a server that does not run as root: the user that its package has made does it."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        fail(f"{user}'s server does not run as root, and there is no user {user}: run cloudtool as yourself")
    options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    os.chown(DATA, account.pw_uid, account.pw_gid)
    reach = subprocess.run(["test", "-w", str(DATA)], check=False, cwd="/", **options)
    if reach.returncode:
        fail(f"the server does not run as root, and the user {user} does not get to {DATA}: run cloudtool as yourself")
    return options


SHORT = []


def short_directory():
    """For a socket, whose path has at most 107 bytes; it goes when the server has ended."""
    SHORT.append(tempfile.mkdtemp(prefix="cloudtool-"))
    return SHORT[-1]


class Server:
    """A server that runs until standard input ends."""

    def __init__(self, words, answers, **options):
        self.log = DATA / "server.log"
        self.ending = threading.Event()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/", **options
            )
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        threading.Thread(target=self.watch, daemon=True).start()
        self.wait_until(answers)

    def watch(self):
        """The program that wants the server holds the other end."""
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        self.end()

    def end(self):
        self.ending.set()
        with contextlib.suppress(ProcessLookupError):
            # Not the patient way, which waits for clients.
            self.process.send_signal(signal.SIGINT if "postgres" in str(self.process.args[0]) else signal.SIGTERM)

    def wait_until(self, answers):
        deadline = time.monotonic() + PATIENCE
        while not answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                said = self.log.read_text(errors="replace").strip().splitlines()
                fail(f"{self.process.args[0]} did not start: {said[-1] if said else 'it said nothing'}; see {self.log}")
            time.sleep(0.01)

    def run(self, variables):
        """Tells the variables, and stays until the server ends."""
        tell(variables)
        # Whoever reads waits for the end of the output.
        os.close(1)
        status = self.process.wait()
        for directory in SHORT:
            shutil.rmtree(directory, ignore_errors=True)
        if status and not self.ending.is_set():
            fail(f"{self.process.args[0]} has ended with status {status}: see {self.log}")
        # The interpreter would like to flush what is closed.
        os._exit(0)


def tell(variables):
    for name, value in variables.items():
        print(f"{name}={value}")
    sys.stdout.flush()


def listens(number):
    """Whether something does, on the loopback."""
    try:
        socket.create_connection((HOST, number), 1).close()
    except OSError:
        return False
    return True
