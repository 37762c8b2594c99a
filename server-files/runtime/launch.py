"""Runs a command of an app as its unit's main process: a runner, or one of [process:NAME] and [cron:NAME].

The argument is a JSON file (commands.py writes it): `words` is the command line, run without a shell in `directory`; `port`
stands for $PORT in it; what it prints goes to the file `log`, each line with the time, the release and `name`.

It ends as the command does. One that fails again and again waits longer each time before it starts: systemd 249 cannot.
"""

import json
import os
import re
import select
import signal
import socket
import sys
import time

PORT = re.compile(r"\$(?:PORT\b|\{PORT\})")
MOST_WAIT = 30
# What runs for so long has not failed to start.
STEADY = 10
LOOK = 0.005
CHUNK = 65536
# Longer lines are written in pieces.
LONG_LINE = 65536
# How long what is left of it may still print when the command itself has ended.
LAST_WORDS = 0.5


def main(path):
    with open(path) as file:
        told = json.load(file)
    log = Log(told["log"], os.environ.get("CLOUDTOOL_PROCESS") or told["name"])
    stop = Stopping()
    failures = read_failures()
    if failures and not told.get("once"):
        wait = min(2 ** (failures - 1), MOST_WAIT)
        notify(f"STATUS=failed {failures} times in a row, waits {wait} s")
        stop.sleep(wait)
    if stop.asked:
        return 0
    began = time.monotonic()
    status = run(told, log, stop)
    seconds = time.monotonic() - began
    if told.get("once"):
        return status
    if stop.asked:
        # However it ended: it was told to.
        return 0
    log.say(f"{told['words'][0]} ended with {describe(status)} after {seconds:.1f} s.")
    write_failures(failures + 1 if seconds < STEADY else 0)
    return status


class Stopping:
    """Whether systemd has asked this to end, and which process that is passed on to."""

    def __init__(self):
        self.asked = False
        self.pid = None
        self.woken, wake = os.pipe()
        os.set_blocking(wake, False)
        # Ends a wait also where the signal comes just before it.
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGTERM, self.ask)

    def ask(self, _number, _frame):
        self.asked = True
        self.pass_on()

    def pass_on(self):
        if self.asked and self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def sleep(self, seconds):
        if not self.asked:
            select.select([self.woken], [], [], seconds)


class Log:
    """A file that the app's user may write. Whoever else writes there appends whole lines, too."""

    def __init__(self, path, name):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        self.mark = f"[{os.environ.get('CLOUDTOOL_RELEASE', '')}] [{name}] "
        self.rest = b""

    def say(self, text):
        self.write([text.encode()])

    def take(self, data):
        """What was printed; nothing is the end of it."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if self.rest and (not data or len(self.rest) > LONG_LINE):
            lines, self.rest = [*lines, self.rest], b""
        self.write(lines)

    def write(self, lines):
        if lines:
            stamp = f"[{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}] {self.mark}".encode()
            try:
                os.write(self.fd, b"".join(stamp + line.rstrip(b"\r") + b"\n" for line in lines))
            except OSError:
                # A full disk does not end the app.
                pass


def run(told, log, stop):
    """The command from its start to its end, as its exit status (negative: the signal)."""
    port = told.get("port")
    words = [PORT.sub(str(port), word) if port else word for word in told["words"]]
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    os.chdir(told["directory"])
    out, into = os.pipe()
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, into, 1), (os.POSIX_SPAWN_DUP2, into, 2)]
    try:
        # Python ignores SIGPIPE; what it starts shall not.
        pid = os.posix_spawnp(words[0], words, environment, file_actions=actions, setsigdef=[signal.SIGPIPE])
    except OSError as error:
        log.say(f"{words[0]} cannot be started: {error.strerror}")
        return 127
    finally:
        os.close(into)
    stop.pid = pid
    stop.pass_on()
    if not port:
        notify("READY=1\nSTATUS=")
    return follow(pid, out, stop, log, port)


def follow(pid, out, stop, log, port):
    """Passes on what the command prints until it has ended, and says when it listens."""
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(out, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        found = dict(poll.poll(LOOK * 1000 if port else None))
        if out in found:
            data = os.read(out, CHUNK)
            log.take(data)
            if not data:
                poll.unregister(out)
        elif ended in found:
            break
        if port and listens(port):
            port = None
            notify("READY=1\nSTATUS=")
    # From now on there is nobody to pass a signal on to.
    stop.pid = None
    _, status = os.waitpid(pid, 0)
    last_words(out, log)
    return os.waitstatus_to_exitcode(status)


def last_words(out, log):
    """What it has left running may hold its output open, and be about to say why it ends."""
    deadline = time.monotonic() + LAST_WORDS
    while select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(out, CHUNK)
        log.take(data)
        if not data:
            return
    log.take(b"")


def listens(port):
    """Whether something of this node listens on a port; without a connection, which the command would see."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                next(file)
                for line in file:
                    fields = line.split(None, 4)
                    if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                        return True
        except OSError:
            pass
    return False


def describe(status):
    return f"signal {-status}" if status < 0 else f"status {status}"


def failures_file():
    return f"{os.environ['RUNTIME_DIRECTORY']}/failures"


def read_failures():
    try:
        with open(failures_file()) as file:
            return int(file.read())
    except (OSError, ValueError, KeyError):
        return 0


def write_failures(count):
    try:
        with open(failures_file(), "w") as file:
            file.write(str(count))
    except (OSError, KeyError):
        pass


def notify(text):
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect("\0" + path[1:] if path.startswith("@") else path)
            to.sendall(text.encode())


status = main(sys.argv[1])
sys.exit(128 - status if status < 0 else status)
