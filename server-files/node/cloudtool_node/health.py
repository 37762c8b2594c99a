"""Asks a started slot whether it is well, before any visitor does."""

import os
import re
import time

from . import commands, files, http1, paths, slots
from .context import Failure
from .state import State

BODY = 500
LOG_LINES = 30
# An app that is still getting ready says so with these; anything else below 200 and from 400 is its final word.
NOT_YET = {429, 502, 503, 504}
# What Apache says of itself; PHP's notices are the app's words (error_log).
NOTICE = re.compile(r"\[(?!php)\w+:notice\] ")
OWN_LINE = re.compile(r"\[[^\]]*\] \[(v\d+)\] ")


class Candidate:
    """A slot that was started and is not live yet: watches over its processes while it is asked."""

    def __init__(self, ctx, state: State, slot: str, launch: slots.Launch):
        self.ctx = ctx
        self.state = state
        self.slot = slot
        self.launch = launch
        self.unit = paths.app_unit(state.app, slot)
        self.words = commands.of(launch.settings)
        self.port = state.port(slot)
        self.log_file = f"{paths.logs(state.app)}/error.log"
        self.log_start = _size(self.log_file)
        self.began = time.time()
        # The processes without which it cannot serve, by what they are called: its Apache, and the command behind it.
        self.pids: dict[str, int] = {}
        self.children: set[str] = set()
        self.lost = 0

    def start(self) -> None:
        """Returns when the slot takes connections."""
        if self.words:
            self.start_command()
        else:
            slots.start(self.ctx, self.state, self.slot)
        self.pids = self.main_processes()
        self.restart_clock()
        while not http1.listens(self.port):
            self.watch()
            if time.monotonic() > self.deadline:
                raise self.failure("start", "Its Apache does not listen.", apache=True)
            time.sleep(0.002)

    def start_command(self) -> None:
        """The slot starts when its command listens. For systemd a command that ends before that is one to start again."""
        command = paths.command_unit(self.state.app, self.slot)
        slots.systemctl(self.ctx, "start", "--no-block", self.unit)
        self.restart_clock()
        wait = 0.02
        while True:
            self.ctx.check_aborted()
            shown = slots.show(self.ctx, [self.unit, command])
            if shown[self.unit]["ActiveState"] == "active":
                return
            if shown[command]["SubState"] in ("auto-restart", "failed") or shown[command]["NRestarts"] != "0":
                raise self.failure("start", f"Its {self.words[0]} ended.")
            if time.monotonic() > self.deadline:
                raise self.failure("start", f"{self.words[0]} does not listen on $PORT.")
            time.sleep(wait)
            wait = min(wait * 2, 0.25)

    def main_processes(self) -> dict[str, int]:
        units = {"Apache": self.unit}
        if self.words:
            units[self.words[0]] = paths.command_unit(self.state.app, self.slot)
        shown = slots.show(self.ctx, list(units.values()))
        return {called: int(shown.get(unit, {}).get("MainPID", "0")) for called, unit in units.items()}

    def restart_clock(self) -> None:
        self.deadline = time.monotonic() + self.launch.settings["health_timeout"]

    def watch(self) -> None:
        """Raises when Apache has ended, or the app keeps ending its processes."""
        self.ctx.check_aborted()
        for called, pid in self.pids.items():
            if not pid or not http1.alive(pid):
                raise self.failure("start", f"Its {called} ended.", apache=called == "Apache")
        if self.words:
            return
        pid = self.pids["Apache"]
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = set(file.read().split())
        except OSError:
            return
        self.lost += len(self.children - children)
        self.children = children
        if self.lost >= 2:
            raise self.failure("health-check", "The app ended its processes while it was loaded.")

    def check(self) -> int:
        """The status of the health check, 2xx or 3xx."""
        path = self.launch.settings["health_check"]
        wait = 0.005
        while True:
            self.watch()
            answer, why = self._ask(path)
            if answer and self._goes_round(path, answer):
                raise self.failure("health-check", f"The health check {path} redirects to itself.", answer)
            if answer and 200 <= answer.status < 400:
                return answer.status
            if answer:
                why = f"The health check {path} was answered with {answer.status}."
            if (answer and answer.status not in NOT_YET) or time.monotonic() >= self.deadline:
                raise self.failure("health-check", why, answer)
            time.sleep(wait)
            wait = min(wait * 2, 0.25)

    def _goes_round(self, path: str, answer) -> bool:
        """Whether a visitor would be sent where they are. With a cookie the second answer may be another one."""
        here = self.state.mount() + path
        same = (here, f"http://{self.state.canonical_host()}{here}")
        return (
            300 <= answer.status < 400 and answer.headers.get("location") in same and "set-cookie" not in answer.headers
        )

    def _ask(self, path: str):
        try:
            return http1.get(
                self.port, path, headers(self.state), deadline=self.deadline, tick=self.watch, limit=BODY
            ), None
        except TimeoutError:
            seconds = self.launch.settings["health_timeout"]
            return None, f"The health check {path} was not answered within {seconds} s."
        except http1.Closed:
            return None, f"The health check {path} was not answered: the app closed the connection."
        except OSError as error:
            return None, f"The health check {path} was not answered: {error}."

    def failure(self, code: str, why: str, answer=None, apache: bool = False) -> Failure:
        details = {"status": None, "location": None, "body": None, "log": self.log()}
        if answer:
            details["status"] = answer.status
            details["location"] = answer.headers.get("location")
            details["body"] = answer.body[:BODY].decode("utf-8", "replace")
        if apache:
            details["log"] = (details["log"] + slots.journal(self.ctx, self.unit, self.began))[-LOG_LINES:]
        return Failure(
            code,
            f"{self.launch.release} of {self.state.app} does not serve. {why}",
            f"The whole log: cloudtool logs {self.state.app}",
            details=details,
        )

    def log(self) -> list[str]:
        """What this release wrote since the start; the live slot writes to the same file."""
        return own_lines(self.log_file, self.log_start, self.launch.release)[-LOG_LINES:]


def own_lines(path: str, start: int, release: str) -> list[str]:
    fd = files.open_foreign(path)
    if fd is None:
        return []
    with open(fd, encoding="utf-8", errors="replace") as file:
        size = os.fstat(fd).st_size
        file.seek(max(start if start <= size else 0, size - (1 << 18)))
        lines = file.read().splitlines()
    found = []
    for line in lines:
        said_by = OWN_LINE.match(line)
        if line.strip() and not NOTICE.search(line, 0, 80) and (said_by is None or said_by[1] == release):
            found.append(line)
    return found


def headers(state: State) -> dict[str, str]:
    """The headers the front would send with a request for the app's first location."""
    host = state.canonical_host()
    found = {
        "Host": host,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": host,
        "X-Forwarded-Proto": "http",
        "User-Agent": "cloudtool",
    }
    if state.mount():
        found["X-Cloudtool-Mount"] = state.mount()
    return found


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
