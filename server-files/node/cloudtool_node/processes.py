"""[process:NAME] and [cron:NAME]: what an app runs beside its slots, as units of their own, in its live release and with its data.

The units, their drop-ins and the files they read follow from the app's state; `settle` makes them so, after a switch and after
a kill at any moment. At a switch, those of the old release are told to end just before the front is led to the new one, and those
of the new one start when they have ended: two releases never work side by side.
"""

import json
import os

from . import commands, crons, files, inside, paths, slots
from .context import Failure
from .state import State

# What the slots alone need.
OF_A_SLOT = {
    "CLOUDTOOL_DRAIN_TIMEOUT",
    "CLOUDTOOL_PORT",
    "CLOUDTOOL_RUN_DIR",
    "CLOUDTOOL_SLOT",
    "CLOUDTOOL_WORKERS",
    "PORT",
}
RUNS = ("active", "activating", "reloading")


def count(state: State, name: str, process: dict) -> int:
    """How many of them run on this node: what `scale` has said, or else the release."""
    return state.fields.get("scale", {}).get(name, process["count"])


def live_launch(state: State) -> slots.Launch | None:
    """What its processes are started with; nothing where none of them may run."""
    return slots.load_launch(state.app, state.live) if state.at_work else None


class Desired:
    """The files and units of an app's processes, as its state wants them."""

    def __init__(self, state: State, launch: slots.Launch | None):
        app = state.app
        self.shared: dict[str, str] = {}
        self.drop_ins: dict[str, str] = {}
        processes = launch.settings.get("workers", {}) if launch else {}
        for name, process in processes.items():
            told = commands.told(app, launch.release, process["words"], f"process-{name}", name)
            self.shared[paths.process_file(app, name)] = json.dumps(told)
            for number in range(1, count(state, name, process) + 1):
                self.drop_ins[paths.process_unit(app, name, number)] = drop_in(app, name, number, process)
        if launch and (processes or launch.settings.get("crons")):
            values = slots.environment(state, state.live_slot, launch)
            values = {name: value for name, value in values.items() if name not in OF_A_SLOT}
            self.shared[paths.process_env(app)] = slots.environment_file(values)


def drop_in(app: str, name: str, number: int, process: dict) -> str:
    memory = process["memory"]
    lines = [
        "[Service]",
        f"ExecStart=/usr/bin/python3 -I -S {paths.PROGRAM}/runtime/launch.py {paths.process_file(app, name)}",
        f"EnvironmentFile={paths.process_env(app)}",
        f"Environment=CLOUDTOOL_PROCESS={name}.{number}",
        f"TimeoutStopSec={process['stop_timeout']}",
        *([f"MemoryMax={memory}", "MemorySwapMax=0"] if memory else []),
        *inside.sandbox(app, "blue"),
    ]
    return "\n".join(lines) + "\n"


def known(app: str) -> list[str]:
    """The units there are."""
    return [
        name.removesuffix(".d")
        for name in files.names(paths.UNITS)
        if name.startswith(f"cloudtool-process@{app}.") and name.endswith(".service.d")
    ]


def own_files(app: str) -> list[str]:
    """The files that the units read."""
    names = files.names(paths.config(app))
    return [f"{paths.config(app)}/{name}" for name in names if name == "process.env" or name.endswith(".process")]


def drop_in_path(unit: str) -> str:
    return f"{paths.UNITS}/{unit}.d/own.conf"


def stale(app: str, desired: Desired) -> list[str]:
    """The units that must end: they are too many, or are about to read something else."""
    units, present = known(app), own_files(app)
    same = sorted(present) == sorted(desired.shared)
    if not same or any(files.read(path) != content for path, content in desired.shared.items()):
        return units
    return [unit for unit in units if files.read(drop_in_path(unit)) != desired.drop_ins.get(unit)]


def write(app: str, desired: Desired) -> None:
    """The files of units that do not run."""
    for unit in known(app):
        if unit not in desired.drop_ins:
            files.remove_tree(f"{paths.UNITS}/{unit}.d")
    for path in own_files(app):
        if path not in desired.shared:
            files.remove(path)
    for path, content in desired.shared.items():
        if path.endswith(".env"):
            files.write(path, content)
        else:
            commands.write(app, path, json.loads(content))
    for unit, content in desired.drop_ins.items():
        os.makedirs(f"{paths.UNITS}/{unit}.d", mode=0o755, exist_ok=True)
        files.write(drop_in_path(unit), content, mode=0o644)


def settle(ctx, state: State, launch: slots.Launch | None) -> list[str]:
    """Exactly the processes that should run do, with `launch`; gives what had to be done, in words."""
    crons.settle(ctx, state.app, launch)
    desired = Desired(state, launch)
    gone = stale(state.app, desired)
    if gone:
        slots.systemctl(ctx, "stop", *gone)
        slots.systemctl(ctx, "reset-failed", *gone, check=False)
    write(state.app, desired)
    if not desired.drop_ins:
        return [f"ended {title(unit)}" for unit in gone]
    shown = slots.show(ctx, list(desired.drop_ins))
    if any(about.get("NeedDaemonReload") == "yes" for about in shown.values()):
        slots.systemctl(ctx, "daemon-reload")
    missing = [unit for unit, about in shown.items() if about.get("ActiveState") not in RUNS]
    if missing and slots.systemctl(ctx, "start", *missing, check=False).returncode != 0:
        names = ", ".join(dict.fromkeys(title(unit).rpartition(".")[0] for unit in missing))
        ctx.warning(
            f"Not all processes of {state.app} have started ({names}); they are tried again and again."
            f" Why: cloudtool logs {state.app}"
        )
    return [f"started {title(unit)}" for unit in missing]


def follow(ctx, state: State) -> None:
    """After a switch. The release serves by now, so what does not work is told and undoes nothing."""
    launch = live_launch(state)
    wanted = launch and (launch.settings.get("workers") or launch.settings.get("crons"))
    if not wanted and not known(state.app) and not crons.known(state.app):
        return
    with ctx.step("processes") as step:
        try:
            step.detail = ", ".join(settle(ctx, state, launch)) or None
        except Failure as failure:
            ctx.warning(f"The processes of {state.app} do not all run; the next update sees to it. {failure.message}")


def end_soon(ctx, app: str) -> None:
    """They finish what they are at, and begin nothing new."""
    units = known(app)
    if units:
        slots.systemctl(ctx, "stop", "--no-block", *units)


def end(ctx, app: str) -> None:
    """Returns when they have ended, and nothing starts them."""
    units = [*crons.known(app), *known(app)]
    if units:
        slots.systemctl(ctx, "stop", *units)
    crons.end_jobs(ctx, app)


def forget(ctx, app: str) -> None:
    """Ends them for good."""
    crons.forget(ctx, app)
    units = known(app)
    if units:
        slots.systemctl(ctx, "stop", *units, check=False)
        slots.systemctl(ctx, "reset-failed", *units, check=False)
    for unit in units:
        files.remove_tree(f"{paths.UNITS}/{unit}.d")
    for path in own_files(app):
        files.remove(path)


def title(unit: str) -> str:
    """`worker.1`."""
    return unit.partition(".")[2].removesuffix(".service")


def at_boot(state: State) -> list[str]:
    """The units to start, with their files as they should be. Nothing runs yet, so nothing has to end."""
    launch = live_launch(state)
    if launch is None or not launch.fits(state):
        return []
    desired = Desired(state, launch)
    write(state.app, desired)
    return [*desired.drop_ins, *crons.at_boot(state, launch)]
