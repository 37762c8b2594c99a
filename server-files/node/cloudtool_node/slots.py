"""The two slots of an app: their files, their units, starting, stopping, sleeping."""

import contextlib
import json
import os
import time

from . import checks, commands, files, paths, users, values
from .context import Failure
from .state import SLOTS


class Launch:
    """What it takes to start a release, kept with it: its settings, configuration, and the services' variables, which
    lead to certain shares with certain logins."""

    def __init__(
        self,
        release: str,
        settings: dict,
        slot_conf: str,
        variables: dict,
        secret_names,
        venv,
        shares: dict[str, int] | None = None,
        logins: dict[str, int] | None = None,
        values: str | None = None,
    ):
        self.release = release
        self.settings = settings
        self.slot_conf = slot_conf
        self.variables = variables
        self.secret_names = set(secret_names)
        self.venv = venv
        # What an earlier version wrote leads to the first shares, with the first logins.
        first = dict.fromkeys([it["name"] for it in settings["services"]], 1)
        self.shares = first if shares is None else shares
        self.logins = dict.fromkeys(self.shares, 1) if logins is None else logins
        # Which version of what was set for the app (values.py).
        self.values = values

    def fits(self, state) -> bool:
        """Do its variables lead to the shares that the app uses now, with the logins that it has now?"""
        uses = state.uses
        return all(uses.share(service) == number for service, number in self.shares.items()) and all(
            uses.login(service) == number for service, number in self.logins.items()
        )

    def save(self, app: str) -> None:
        fields = {**vars(self), "secret_names": sorted(self.secret_names)}
        files.write(paths.launch(app, self.release), json.dumps(fields), durable=True)

    def tell_secrets(self, ctx, app: str) -> None:
        """From now on nothing that the app knows and nobody else should is in an event."""
        ctx.secret(files.read(paths.app_secret(app)) or "")
        for name in self.secret_names:
            ctx.secret(self.variables.get(name, ""))
        for value in values.load(app, self.values).values():
            ctx.setting(value)


def load_launch(app: str, release: str) -> Launch | None:
    text = files.read(paths.launch(app, release))
    return None if text is None else Launch(**json.loads(text))


def environment(state, slot: str, launch: Launch) -> dict[str, str]:
    """Everything an app's process sees, and what its Apache reads."""
    app, settings = state.app, launch.settings
    release_dir = paths.release(app, launch.release)
    runner = settings.get("runner") or {}
    path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    own = {
        "CLOUDTOOL_APP_NAME": app,
        "CLOUDTOOL_RELEASE": launch.release,
        "CLOUDTOOL_NODE": os.uname().nodename,
        "CLOUDTOOL_CANONICAL_HOSTNAME": state.canonical_host(),
        "CLOUDTOOL_LOGS": paths.logs(app),
        "CLOUDTOOL_SECRET_FILE": paths.app_secret(app),
        "CLOUDTOOL_RUNNER": runner.get("file") or "",
        "CLOUDTOOL_RUNNER_OBJECT": runner.get("object") or "",
        "CLOUDTOOL_RUNNER_KIND": runner.get("kind") or "",
        "CLOUDTOOL_PORT": str(state.port(slot)),
        "CLOUDTOOL_SLOT": slot,
        "CLOUDTOOL_RELEASE_DIR": release_dir,
        "CLOUDTOOL_RUN_DIR": f"{paths.RUN}/{slot}-{app}",
        "CLOUDTOOL_VENV": launch.venv or "",
        "CLOUDTOOL_WRITABLE_ROOT": launch.variables.get("CONFIG_WRITABLE_ROOT", f"{paths.data(app)}/writable_root"),
        "CLOUDTOOL_DRAIN_TIMEOUT": str(settings["drain_timeout"]),
        "CLOUDTOOL_WORKERS": str(settings["processes"] * settings["threads"]),
        "TEMP": "/tmp",
        "HOME": paths.data(app),
        "PATH": f"{launch.venv}/bin:{path}" if launch.venv else path,
        "PYTHONPATH": f"{release_dir}/lib/python:{release_dir}",
    }
    if launch.venv:
        own["VIRTUAL_ENV"] = launch.venv
    if commands.of(settings):
        own["PORT"] = str(commands.port(app, slot))
    default = (settings.get("config") or {}).get("default", {})
    said = {**default, **settings["env"], **values.load(app, launch.values)}
    return {"LANG": "C.UTF-8", **launch.variables, **said, **own}


def environment_file(variables: dict[str, str]) -> str:
    """As systemd reads it: in double quotes a backslash makes these four literal, and newlines stand for themselves."""
    lines = []
    for name, value in checks.variables(variables, "the environment").items():
        for character in '\\"$`':
            value = value.replace(character, "\\" + character)
        lines.append(f'{name}="{value}"\n')
    return "".join(lines)


@contextlib.contextmanager
def own_environment(state, slot: str, launch: Launch, purpose: str):
    """The environment in a file beside the slot's, for something that runs before the slot has it."""
    path = f"{paths.RUN}/{purpose}-{state.app}.env"
    files.write(path, environment_file(environment(state, slot, launch)))
    try:
        yield path
    finally:
        files.remove(path)


def configure(state, slot: str, launch: Launch) -> None:
    """The slot's files."""
    app = state.app
    words = commands.of(launch.settings)
    if words:
        told = commands.told(app, launch.release, words, "error", "command", port=commands.port(app, slot))
        commands.write(app, paths.slot_command(app, slot), told)
    else:
        files.remove(paths.slot_command(app, slot))
    files.write(paths.slot_env(app, slot), environment_file(environment(state, slot, launch)))
    files.write(paths.slot_conf(app, slot), launch.slot_conf, mode=0o640, gid=users.gid(app))


def unconfigure(app: str, slot: str) -> None:
    """An empty slot has none of them: they lead to shares that are gone, with their secrets."""
    for path in (paths.slot_conf(app, slot), paths.slot_env(app, slot), paths.slot_command(app, slot)):
        files.remove(path)


def configure_waking(state) -> None:
    """On which ports the slots are woken (drop-ins; the sockets' units cannot be loaded without), and where those lead: not
    by the slots' environments, because what wakes a slot runs as root."""
    for slot in SLOTS:
        files.write(paths.slot_port(state.app, slot), f"CLOUDTOOL_PORT={state.port(slot)}\n")
        dropin = f"{paths.UNITS}/{paths.wake_socket(state.app, slot)}.d"
        if not os.path.isdir(dropin):
            os.mkdir(dropin, 0o755)
        files.write(f"{dropin}/port.conf", f"[Socket]\nListenStream=127.0.0.1:{state.wake_port(slot)}\n", mode=0o644)


def limit_memory(ctx, state, slot: str, memory: int | None) -> None:
    """The memory limit, by a property of the unit: needs no daemon-reload. Untouched where there never was one."""
    command = os.path.exists(paths.slot_command(state.app, slot))
    unit = (paths.command_unit if command else paths.app_unit)(state.app, slot)
    if memory is None and not os.path.exists(f"{paths.UNIT_PROPERTIES}/{unit}.d"):
        return
    limit = "infinity" if memory is None else str(memory)
    systemctl(ctx, "set-property", unit, f"MemoryMax={limit}", f"MemorySwapMax={'infinity' if memory is None else 0}")


def look_after_certificate(ctx, state) -> None:
    """In its own time: nobody waits for an authority."""
    if state.tls or os.path.exists(paths.certificate_record(state.app)):
        systemctl(ctx, "start", "--no-block", paths.certificate_service(state.app))


def all_units(app: str) -> list[str]:
    return [
        unit
        for slot in SLOTS
        for unit in (
            paths.app_unit(app, slot),
            paths.command_unit(app, slot),
            paths.wake_socket(app, slot),
            paths.wake_service(app, slot),
        )
    ]


def show(ctx, units: list[str]) -> dict[str, dict[str, str]]:
    """What systemd knows of units, in one call."""
    wanted = "Id,ActiveState,SubState,MainPID,NRestarts,MemoryCurrent,NeedDaemonReload,StatusText"
    wanted += ",ActiveEnterTimestampMonotonic,ExecMainStartTimestampMonotonic"
    text = ctx.run(["systemctl", "show", f"--property={wanted}", "--", *units]).stdout
    found = {}
    for block in text.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in fields:
            found[fields["Id"]] = fields
    return found


def start(ctx, state, slot: str, patience: int | None = None) -> None:
    """Returns when the slot was started; one with a command, when that listens. `patience`: how many seconds that may take."""
    unit = paths.app_unit(state.app, slot)
    began = time.time()
    result = ctx.run(["systemctl", "start", unit], check=False, timeout=patience, code="start")
    if result.returncode != 0:
        raise Failure(
            "start",
            f"The {slot} slot of {state.app} could not be started.",
            "The log has what systemd and Apache say; the old release keeps serving.",
            details={"log": journal(ctx, unit, began)},
        )


def put_away_waking(ctx, app: str, slot: str) -> None:
    """From now on nothing but a start starts the slot; one that was awake begins to drain."""
    systemctl(ctx, "stop", "--no-block", paths.wake_socket(app, slot), paths.wake_service(app, slot))


def put_away(ctx, app: str, slot: str) -> None:
    """Waits for the end of whatever ran in a slot; a drain may take its time."""
    systemctl(ctx, "stop", paths.wake_socket(app, slot), paths.wake_service(app, slot), paths.app_unit(app, slot))


def sleep(ctx, app: str, slot: str) -> None:
    """Lets a slot drain and end, then be woken by whoever asks for it."""
    systemctl(ctx, "stop", "--no-block", paths.app_unit(app, slot))
    systemctl(ctx, "start", "--no-block", paths.wake_socket(app, slot))


def kill(ctx, unit: str) -> None:
    """Ends a slot that nobody sees at once. For systemd that end is a failure; for the node nothing failed."""
    systemctl(ctx, "kill", "--signal=SIGKILL", unit, check=False)
    systemctl(ctx, "stop", unit, check=False)
    systemctl(ctx, "reset-failed", unit, check=False)


def journal(ctx, unit: str, since: float) -> list[str]:
    """What systemd and Apache itself said of a unit since a time (in seconds of the epoch)."""
    text = ctx.run(["journalctl", "-q", "-o", "cat", f"--since=@{since:.6f}", "-u", unit], check=False).stdout
    return text.splitlines()


def systemctl(ctx, *words: str, check: bool = True):
    return ctx.run(["systemctl", *words], check=check)
