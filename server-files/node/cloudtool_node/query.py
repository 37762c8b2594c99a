"""What is on the node: its apps, and how they are."""

import fnmatch
import os

from . import (
    backup_status,
    certificate_status,
    checks,
    cron_records,
    crons,
    files,
    paths,
    probe,
    processes,
    slots,
    state,
)


def query(ctx, _payload) -> dict:
    patterns = [pattern.lower() for pattern in checks.texts(ctx.request.get("filter"), "The filters")]
    wanted = [found for found in state.load_all() if matches(found, patterns)]
    units = [paths.app_unit(found.app, found.live_slot) for found in wanted if found.live_slot]
    units += [unit for found in wanted for unit in [*commands_of(found), *processes.known(found.app)]]
    shown = slots.show(ctx, units) if units else {}
    apps = [{**describe(found, shown), "crons": crons_of(ctx, found.app)} for found in wanted]
    return {"apps": [{**app, "warnings": warnings(app)} for app in apps], "node": probe.node()}


def warnings(app: dict) -> list[dict]:
    """What somebody should do something about; of this `status` says more."""
    from . import worker_status

    return [
        *certificate_status.warnings(app["app"], app["tls"]),
        *backup_status.warnings(app["app"], app["backup"]),
        *worker_status.process_warnings(app["app"], app["processes"]),
        *worker_status.cron_warnings(app["app"], app["crons"]),
    ]


def matches(found: state.State, patterns: list[str]) -> bool:
    names = [found.app, *found.locations, *(location.partition("/")[0] for location in found.locations)]
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def describe(found: state.State, shown: dict) -> dict:
    entry = found.entry(found.live) if found.live else None
    unit = shown.get(paths.app_unit(found.app, found.live_slot), {}) if found.live_slot else {}
    return {
        "app": found.app,
        "live": found.live,
        "previous": found.previous,
        "slot": found.live_slot,
        "state": "moved" if found.moved_to else "asleep" if found.asleep else running_state(unit),
        "platform": entry["platform"] if entry else None,
        "locations": [] if found.moved_to else found.locations,
        "forwards": found.locations if found.moved_to else [],
        "moved_to": found.moved_to,
        "services": entry["services"] if entry else [],
        "memory_mb": sum_mb([unit, *(shown.get(command, {}) for command in commands_of(found))]),
        "since": found.fields["since"],
        "by": found.fields["by"],
        "releases": len(found.kept),
        "copy_of": found.fields.get("copy_of"),
        "expires": found.fields.get("expires"),
        "disabled": found.disabled,
        "scale": found.fields.get("scale", {}),
        "idle_stop": found.idle_stop,
        "tls": certificate_status.about(found),
        "backup": backup_status.about(found.app),
        "processes": [process(unit, shown.get(unit, {})) for unit in processes.known(found.app)],
    }


def commands_of(found: state.State) -> list[str]:
    """The unit behind the live slot, where the runner is a command."""
    slot = found.live_slot
    there = slot and os.path.exists(paths.slot_command(found.app, slot))
    return [paths.command_unit(found.app, slot)] if there else []


def sum_mb(units: list[dict]) -> float | None:
    known = [found for unit in units if (found := memory_mb(unit)) is not None]
    return round(sum(known), 1) if known else None


def crons_of(ctx, app: str) -> list[dict]:
    """What is planned, and what came of it. A run that says it goes on and does not was killed."""
    due = crons.next_times(ctx, crons.known(app))
    found = [{"cron": name, "next": due[name], **cron_records.load(app, name)} for name in due]
    seen_running = [cron["last"] for cron in found if cron.get("last", {}).get("result") == "running"]
    units = crons.jobs(ctx, app) if seen_running else []
    for last in seen_running:
        if not any(unit.endswith(f".{last['number']}.service") for unit in units):
            last |= {"result": "failed", "message": "It was killed, or the node went down."}
    return found


def process(unit: str, shown: dict) -> dict:
    from . import ps

    return {"process": processes.title(unit), "state": ps.state_of(shown), "note": ps.note(shown)}


def running_state(unit: dict) -> str:
    active = unit.get("ActiveState")
    if active == "active":
        return "running"
    return "failed" if active == "failed" or unit.get("SubState") == "auto-restart" else "stopped"


def memory_mb(unit: dict) -> float | None:
    """systemd says `[not set]` or the largest number there is when it does not account for memory (a container on a host
    with cgroup v1): then the processes' own shares are added up."""
    value = unit.get("MemoryCurrent", "")
    if value.isdigit() and int(value) < 1 << 60:
        return round(int(value) / (1 << 20), 1)
    pid = unit.get("MainPID", "0")
    if pid == "0":
        return None
    children = (files.read(f"/proc/{pid}/task/{pid}/children") or "").split()
    return round(sum(share_kb(each) for each in [pid, *children]) / 1024, 1)


def share_kb(pid: str) -> int:
    """Proportional set size of a process, 0 when it is gone."""
    try:
        text = files.read(f"/proc/{pid}/smaps_rollup") or ""
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
