"""A command inside the release that serves: as the app's user, in its sandbox, with its environment and its limits.

It has a channel of its own, for what it prints goes to the client as it is, and its exit status is the channel's. The client
says in one line what to run; `ready`, one line too, comes before anything else. What the client sends after that is in
chunks, as a payload is: standard input, the empty chunk where it ends, and INTERRUPT between them. So the end of our own
input is the client's end, whatever the command reads, and ends the command. On a terminal nothing is framed.
"""

import os
import select
import signal
import stat

from . import audit, checks, files, inside, lookup, moves, paths, session, uploads
from .context import Context, Failure, Writer
from .slots import Launch, environment

# The length of a chunk that is none: ctrl-C.
INTERRUPT = 0xFFFFFFFF
PIECE = 1 << 16
LONGEST = 131071
LOST = 255
PATIENCE = 5
# Says with which status the command ended, also of one that a signal killed, which systemd-run does not tell. It outlives
# what is sent to both, and reads none of the words.
WAIT = 'trap : HUP INT QUIT TERM; "$@"; exit $?'
RUNTIME = f"{paths.PROGRAM}/runtime"


def main(where: str = "pipes") -> int:
    """`where` is `terminal` when the command gets one."""
    out, source = Writer(), session.Input(0)
    ctx = Context({}, out)
    try:
        ctx = Context(session.parsed(source.line() or b""), out)
        session.require_root()
        session.require_program(ctx.request)
        run = Run(ctx, where == "terminal")
        if wanted := run.wanted:
            ctx.event("wanted", files=[upload.number for upload in wanted])
            run.receive(session.Payload(source, True))
        out.write({"event": "ready", "app": run.app, "release": run.launch.release})
    except BaseException as error:
        failure = session.as_failure(error, ctx)
        out.write(session.error_event(failure, session.serving(ctx.request)))
        return 1
    try:
        status = run.perform(source)
    finally:
        run.clear()
    audit.record(ctx, "ok" if status == 0 else f"status {status}", run.launch.release, run.called)
    return status


class Run:
    def __init__(self, ctx: Context, terminal: bool):
        self.ctx = ctx
        self.terminal = terminal
        current = lookup.app_of(ctx.request)
        self.app, self.slot = current.app, current.live_slot
        # From here on it is known which app it is about.
        ctx.request["app"] = self.app
        self.launch = moves.require_live(current)
        self.environment = environment(current, self.slot, self.launch)
        self.unit = paths.run_unit(self.app, os.getpid())
        self.words, self.options, self.called = self.asked()
        self.uploads = uploads.asked(ctx.request.get("files"), self.words)
        release = paths.release(self.app, self.launch.release)
        self.wanted = [upload for upload in self.uploads if not upload.is_in(release)]

    def asked(self) -> tuple[list[str], list[str], str]:
        """The words to execute, options for their unit, and what the audit log calls it: a word may be a secret."""
        opened = self.ctx.request.get("open")
        if opened == "console":
            return console(self.launch), [], opened
        if opened == "shell":
            prompt = f"{self.app} {self.launch.release} \\w\\$ "
            return ["/bin/bash", "--norc"], [f"--property=Environment=PS1={quoted(prompt)}"], opened
        if opened is not None:
            raise checks.bad(f"{opened!r} is neither console nor shell.")
        words = checks.texts(self.ctx.request.get("words"), "The words")
        if not words or not words[0]:
            raise checks.bad("There is no command.")
        for word in words:
            if "\0" in word or not checks.is_utf8(word) or len(word.encode()) > LONGEST:
                raise checks.bad("A word of the command has a NUL in it, is not UTF-8, or longer than 128 kB.")
        return words, [], words[0]

    def receive(self, payload) -> None:
        """The files that travel with the command, in a directory that goes with it."""
        uploads.reap(self.ctx, self.app)
        directory = paths.run_files(self.app, os.getpid())
        uploads.receive(payload, directory, self.app, self.wanted)
        for upload in self.wanted:
            self.words[upload.word] = f"{upload.prefix}{directory}/{upload.number}/{upload.name}"
        # Whatever kills us, systemd sees to it once the command has ended.
        self.options += [f"--property=ReadWritePaths={paths.runs(self.app)}"]
        self.options += [f"--property=ExecStopPost=+/bin/rm -rf -- {directory}"]

    def clear(self) -> None:
        if self.wanted:
            files.remove_tree(paths.run_files(self.app, os.getpid()))

    def argv(self) -> list[str]:
        release = paths.release(self.app, self.launch.release)
        start = program(self.words[0], release, self.environment["PATH"], self.launch.settings["platform"])
        limits = ["LimitNOFILE=65536", f"TimeoutStopSec={PATIENCE}"]
        if memory := self.launch.settings.get("memory"):
            limits += [f"MemoryMax={memory}", "MemorySwapMax=0"]
        return inside.unit(
            self.unit,
            self.app,
            self.slot,
            self.launch.release,
            ["/bin/sh", "-c", WAIT, "sh", *start, *self.words[1:]],
            "--pty" if self.terminal else "--pipe",
            *(f"--property={limit}" for limit in limits),
            *self.options,
        )

    def perform(self, source) -> int:
        """The command's exit status."""
        try:
            argv = self.argv()
        except Failure as failure:
            os.write(2, f"cloudtool: {failure.message}\n".encode())
            return 127
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, gone)
        feed = None if self.terminal else Feed(source, self.interrupt)
        pid = start(argv, feed.read_end if feed else 0)
        ended = False
        try:
            if feed:
                os.close(feed.read_end)
                ended = feed.until_end(pid)
            else:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                ended = True
        except Gone:
            pass
        if not ended:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self.systemctl("stop", self.unit)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if status >= 0 else LOST

    def interrupt(self) -> None:
        self.systemctl("kill", "--signal=SIGINT", self.unit)

    def systemctl(self, *words: str) -> None:
        os.waitpid(start(["systemctl", "--quiet", *words], 0), 0)


class Gone(Exception):
    """The client is."""


def gone(_number, _frame):
    raise Gone


class Feed:
    """What the client sends while the command runs."""

    def __init__(self, source, interrupt):
        self.buffer = source.buffer
        self.interrupt = interrupt
        self.read_end, self.to = os.pipe()
        os.set_blocking(self.to, False)
        # How much of a chunk is not in the pipe yet.
        self.left = 0

    def until_end(self, pid: int) -> bool:
        """Until the command has ended, which it says, or the client is gone."""
        end = os.pidfd_open(pid)
        while True:
            full = self.give()
            poll = select.poll()
            poll.register(end, select.POLLIN)
            poll.register(0, select.POLLHUP | select.POLLRDHUP | (0 if full else select.POLLIN))
            if full:
                poll.register(self.to, select.POLLOUT)
            ready = dict(poll.poll())
            if end in ready:
                return True
            if ready.get(0, 0) & select.POLLIN:
                data = os.read(0, PIECE)
                if not data:
                    return False
                self.buffer += data
            elif 0 in ready:
                return False

    def give(self) -> bool:
        """Moves on what has come, as far as there is room; says whether there is none."""
        while True:
            if self.left == 0:
                if len(self.buffer) < 4:
                    return False
                length = int.from_bytes(self.buffer[:4], "big")
                del self.buffer[:4]
                if length == INTERRUPT:
                    self.interrupt()
                elif length == 0:
                    self.close()
                else:
                    self.left = length
            elif not self.buffer:
                return False
            else:
                piece = self.buffer[: min(self.left, PIECE)]
                written = len(piece)
                try:
                    # What nobody reads any more is thrown away.
                    written = os.write(self.to, piece) if self.to is not None else written
                except BlockingIOError:
                    return True
                except BrokenPipeError:
                    self.close()
                del self.buffer[:written]
                self.left -= written

    def close(self) -> None:
        if self.to is not None:
            os.close(self.to)
            self.to = None


def start(argv: list[str], stdin: int) -> int:
    """With standard output and error of our own: nothing that the command prints passes through us."""
    actions = [] if stdin == 0 else [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsigdef=[signal.SIGPIPE])


def program(word: str, release: str, path: str, platform: str) -> list[str]:
    """What a command's first word means: a file of the release (its bin/ first), of the virtual environment, of the node."""
    if "/" in word:
        places = [word if word.startswith("/") else f"{release}/{word}"]
    else:
        places = [
            f"{release}/bin/{word}",
            f"{release}/{word}",
            *(f"{directory}/{word}" for directory in path.split(":")),
        ]
    for place in places:
        try:
            is_file = stat.S_ISREG(os.stat(place).st_mode)
        except (OSError, ValueError):
            continue
        if is_file and (known := inside.start_of(place, platform if place.startswith(f"{release}/") else "")):
            return known
    raise Failure(
        "not-found", f"{word}: no such command, neither of the release nor of its virtual environment or the node"
    )


def console(launch: Launch) -> list[str]:
    platform = launch.settings["platform"]
    if platform == "python":
        return ["python3", f"{RUNTIME}/console.py"]
    if platform == "php":
        return ["php", "-d", f"auto_prepend_file={RUNTIME}/console.php", "-a"]
    raise Failure(
        "unsupported", "An app of static files has no program to talk to.", "cloudtool ssh APP gives a shell."
    )


def quoted(value: str) -> str:
    """As systemd reads one assignment."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
