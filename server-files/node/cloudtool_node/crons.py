"""[cron:NAME]: what an app does at its times.

A timer of systemd's for each runs `cloudtool-node cron APP.NAME`, which looks at the last run that may still go on (`due`), and
starts `cloudtool-node job APP.NAME NUMBER` as a unit of its own. That does the work (`work`): a command as the app's user, in its
sandbox, or a request to the live slot. It keeps what came of it. Timers and files follow from the app's state: see `settle`.
"""

import json
import os
import signal
import time

from . import commands, cron_records, files, health, http1, inside, lock, paths, slots, state, timers, waking
from .context import Context, Failure

FETCH_TIMEOUT = 3600
# How long a job that is to end may take for it.
STOP_SECONDS = 30
ZONES = "/usr/share/zoneinfo"


class Desired:
    """The timers of an app with their lines, and the files that say what is done."""

    def __init__(self, app: str, launch: slots.Launch | None):
        self.timers: dict[str, list[str]] = {}
        self.files: dict[str, dict] = {}
        for name, cron in (launch.settings.get("crons", {}) if launch else {}).items():
            zone = f" {cron['timezone']}" if cron["timezone"] else ""
            lines = [f"OnCalendar={expression}{zone}" for expression in cron["calendar"]]
            self.timers[paths.cron_timer(app, name)] = lines
            words = cron["job"].get("run") or []
            told = commands.told(app, launch.release, words, f"cron-{name}", name, once=True)
            self.files[paths.cron_file(app, name)] = {**told, **cron}


def known(app: str) -> list[str]:
    """The timers there are."""
    return [
        name.removesuffix(".d")
        for name in files.names(paths.UNITS)
        if name.startswith(f"cloudtool-cron@{app}.") and name.endswith(".timer.d")
    ]


def title(timer: str) -> str:
    return timer.partition(".")[2].removesuffix(".timer")


def own_files(app: str) -> list[str]:
    return [f"{paths.config(app)}/{name}" for name in files.names(paths.config(app)) if name.endswith(".cron")]


def settle(ctx, app: str, launch: slots.Launch | None) -> None:
    """Exactly the timers that should run do, and lead to the release of `launch`. Jobs that run are left alone."""
    desired = Desired(app, launch)
    for timer in known(app):
        if timer not in desired.timers:
            timers.forget(ctx, timer)
    write(app, desired)
    for timer, lines in desired.timers.items():
        timers.set_time(ctx, timer, lines)


def write(app: str, desired: Desired) -> None:
    for path in own_files(app):
        if path not in desired.files:
            files.remove(path)
            cron_records.forget(app, os.path.basename(path).removesuffix(".cron"))
    for path, told in desired.files.items():
        commands.write(app, path, told)


def forget(ctx, app: str) -> None:
    """Ends them, and the jobs that run."""
    settle(ctx, app, None)
    end_jobs(ctx, app)


def end_jobs(ctx, app: str) -> None:
    """The data that they work on are about to go."""
    running = jobs(ctx, app)
    if running:
        slots.systemctl(ctx, "stop", *running, check=False)


def next_times(ctx, found: list[str]) -> dict[str, str | None]:
    """When timers elapse, by the names of their jobs."""
    due: dict[str, str | None] = {title(timer): None for timer in found}
    if found:
        properties = "--property=Id,NextElapseUSecRealtime"
        text = ctx.run(["systemctl", "show", "--timestamp=utc", properties, "--", *found]).stdout
        for block in text.strip().split("\n\n"):
            fields = dict(line.split("=", 1) for line in block.splitlines())
            # Sun 2026-11-22 02:15:00 UTC
            words = fields.get("NextElapseUSecRealtime", "").split()
            if len(words) == 4:
                due[title(fields["Id"])] = f"{words[1]}T{words[2]}Z"
    return due


def jobs(ctx, app: str, name: str = "*") -> list[str]:
    """The units of jobs that run."""
    patterns = [f"cloudtool-{kind}-{app}.{name}.*.service" for kind in ("job", "run")]
    listed = ctx.run(["systemctl", "list-units", "--plain", "--no-legend", "--all", *patterns]).stdout
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def at_boot(found: state.State, launch: slots.Launch) -> list[str]:
    """The timers to start."""
    desired = Desired(found.app, launch)
    write(found.app, desired)
    return [timer for timer in desired.timers if os.path.isdir(timers.drop_in(timer))]


def check_zones(settings: dict) -> None:
    """Before the switch: a timer that systemd cannot read would never run."""
    for name, cron in settings.get("crons", {}).items():
        if cron["timezone"] and not os.path.isfile(f"{ZONES}/{cron['timezone']}"):
            raise Failure(
                "bad-request",
                f"The node knows no time zone {cron['timezone']}, which [cron:{name}] of app.ini names.",
                "They are called as in tzdata: Europe/Berlin, America/New_York, UTC.",
            )


def packages(settings: dict) -> list[str]:
    return ["tzdata"] if any(cron["timezone"] for cron in settings.get("crons", {}).values()) else []


# What the timers start


def due(instance: str) -> int:
    """The time of a job has come."""
    app, _, name = instance.partition(".")
    ctx = Context.for_nobody("cron", app=app)
    told, found = what(app, name), state.load(app)
    if told and found and found.at_work and start(ctx, app, name, told, "--no-block") is None:
        cron_records.skipped(app, name)
    return 0


def what(app: str, name: str) -> dict | None:
    """What is done when the time of a job has come; None where it is no job any more."""
    text = files.read(paths.cron_file(app, name))
    return None if text is None else json.loads(text)


def start(ctx, app: str, name: str, told: dict, how: str) -> str | None:
    """Starts a job; gives the number of the run, or None where one still goes on and its policy forbids another. `told` says what
    the job is, `how` is systemd-run's option: `--no-block`, or `--wait` for its end."""
    running = jobs(ctx, app, name)
    if running and told["concurrency"] == "forbid":
        return None
    if running and told["concurrency"] == "replace":
        slots.systemctl(ctx, "stop", *running, check=False)
    number = str(time.time_ns())
    unit = f"cloudtool-job-{app}.{name}.{number}.service"
    properties = ["KillMode=mixed", f"TimeoutStopSec={2 * STOP_SECONDS}"]
    argv = ["systemd-run", "--quiet", how, "--collect", f"--unit={unit}"]
    argv += [f"--property={line}" for line in properties]
    ctx.run([*argv, "--", f"{paths.PROGRAM}/cloudtool-node", "job", f"{app}.{name}", number])
    return number


class Ended(Exception):
    """Somebody wants the job to end."""


def work(instance: str, number: str) -> int:
    """One run of a job, and what came of it."""
    app, _, name = instance.partition(".")
    ctx = Context.for_nobody("job", app=app)
    signal.signal(signal.SIGTERM, end)
    told, found = what(app, name), state.load(app)
    if told is None or found is None:
        return 0
    began = time.monotonic()
    cron_records.started(app, name, number, found.live)
    result, message = "stopped", "It was ended."
    try:
        message = fetch(ctx, found, name, told) if "fetch" in told["job"] else run(ctx, found, name, number)
        result = "failed" if message else "ok"
    except Ended:
        pass
    finally:
        cron_records.ended(app, name, number, result, message, round(time.monotonic() - began, 3))
    return 0


def end(_number, _frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Ended


def run(ctx, found: state.State, name: str, number: str) -> str | None:
    """A command as the app's user; gives what went wrong."""
    app = found.app
    unit = f"cloudtool-run-{app}.{name}.{number}.service"
    properties = [f"EnvironmentFile={paths.process_env(app)}", "KillMode=mixed", f"TimeoutStopSec={STOP_SECONDS}"]
    # Whatever ends us ends it.
    properties.append(f"BindsTo=cloudtool-job-{app}.{name}.{number}.service")
    argv = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={unit}"]
    argv += [f"--property={line}" for line in [*properties, *inside.sandbox(app, "blue")]]
    launch = f"{paths.PROGRAM}/runtime/launch.py"
    try:
        result = ctx.run([*argv, "--", "/usr/bin/python3", "-I", "-S", launch, paths.cron_file(app, name)], check=False)
    except Ended:
        slots.systemctl(ctx, "stop", unit, check=False)
        raise
    return f"It ended with status {result.returncode}." if result.returncode else None


def fetch(ctx, found: state.State, name: str, told: dict) -> str | None:
    """A request to the live slot that only the node can make; gives what went wrong."""
    if found.asleep:
        with lock.waking(ctx, found.app):
            waking.start(ctx, found.app)
            waking.settle(ctx, found.app)
    path = told["job"]["fetch"]
    headers = {**health.headers(found), "X-Cloudtool-Cron": name}
    headers["X-Cloudtool-Update"] = files.read(paths.app_secret(found.app)) or ""
    port, deadline = found.port(found.live_slot), time.monotonic() + FETCH_TIMEOUT
    try:
        answer = http1.get(port, path, headers, deadline=deadline, tick=lambda: None, limit=1 << 20)
    except (OSError, http1.Closed, TimeoutError) as error:
        return f"{path} was not answered: {type(error).__name__}."
    return None if 200 <= answer.status < 400 else f"{path} was answered with {answer.status}."
