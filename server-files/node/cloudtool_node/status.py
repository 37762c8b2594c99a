"""`status`: how the apps of the node are, and what wants somebody's attention. Reads only, and starts nothing but `systemctl show`.

Each subject has an entry: data, and `text`, one line for people. What has to be done is a warning, with the command that does it.
"""

import importlib
import os

from . import checks, paths, probe, processes, query, slots, state
from .state import SLOTS, State

# The entries of an app, in the order in which they are shown: where the function is that makes them. It is given a `Look` and the app's
# state, and gives the entry, or None where there is nothing to say. Whoever has something to say of apps adds a row.
ENTRIES = {
    "serving": ("status", "serving"),
    "requests": ("traffic", "entry"),
    "slots": ("status", "slots_of"),
    "processes": ("worker_status", "of_processes"),
    "crons": ("worker_status", "of_crons"),
    "certificates": ("certificate_status", "entry"),
    "backups": ("backup_status", "entry"),
}
# The same for the node, whose functions are given the `Look`.
NODE_ENTRIES = {
    "load": ("status", "load"),
    "disk": ("status", "disk"),
    "memory": ("status", "memory"),
    "restart": ("status", "restart"),
}

DISK_FULL = 0.9
MEMORY_FULL = 0.9
REBOOT = "/run/reboot-required"


class Look:
    """One look at the node: what several entries need, asked for once."""

    def __init__(self, ctx, apps: list[State]):
        self.ctx = ctx
        self.warnings: list[dict] = []
        units = [
            unit
            for found in apps
            for slot in SLOTS
            for unit in (
                paths.app_unit(found.app, slot),
                paths.wake_socket(found.app, slot),
                paths.command_unit(found.app, slot),
            )
        ]
        units += [unit for found in apps for unit in processes.known(found.app)]
        self.units = slots.show(ctx, units) if units else {}

    def warn(self, message: str, hint: str) -> None:
        """Something that somebody should do something about: `hint` is the command."""
        self.warnings.append({"message": message, "hint": hint})

    def told(self, entries: dict, *about) -> dict:
        """The entries, and the warnings that came up meanwhile."""
        made = {name: function_of(place)(self, *about) for name, place in entries.items()}
        warnings, self.warnings = self.warnings, []
        return {name: entry for name, entry in made.items() if entry is not None} | {"warnings": warnings}


def function_of(place: tuple[str, str]):
    module, name = place
    return getattr(importlib.import_module(f"cloudtool_node.{module}"), name)


def status(ctx, _payload) -> dict:
    patterns = [pattern.lower() for pattern in checks.texts(ctx.request.get("filter"), "The filters")]
    wanted = [found for found in state.load_all() if query.matches(found, patterns)]
    look = Look(ctx, wanted)
    apps = [{"app": found.app, **look.told(ENTRIES, found)} for found in wanted]
    return {"apps": apps, "node": {**probe.node(), **look.told(NODE_ENTRIES)}}


def serving(look: Look, found: State) -> dict:
    unit = look.units.get(paths.app_unit(found.app, found.live_slot), {}) if found.live_slot else {}
    entry = found.entry(found.live) if found.live else None
    is_now = "moved" if found.moved_to else "asleep" if found.asleep else query.running_state(unit)
    if is_now == "failed":
        look.warn(f"{found.live} of {found.app} does not run.", f"cloudtool logs {found.app} --stream error")
    if found.disabled:
        look.warn(f"{found.app} is disabled, by {found.disabled['by']}.", f"cloudtool enable {found.app}")
    if found.releases and found.releases[-1]["result"] == "failed":
        last = found.releases[-1]
        message = f"The last update, {last['release']} by {last['by']}, failed: {last.get('message')}"
        look.warn(message, f"cloudtool releases {found.app}")
    since = f" since {found.fields['since']} by {found.fields['by']}" if found.live else ""
    where = f" at {', '.join(found.locations)}" if found.locations else ""
    to = f", sent on to {found.moved_to}" if found.moved_to else ""
    return {
        "text": f"{found.live or 'no release'}{since}, {is_now}{where}{to}",
        "release": found.live,
        "previous": found.previous,
        "state": is_now,
        "since": found.fields["since"],
        "by": found.fields["by"],
        "note": entry.get("note") if entry else None,
        "platform": entry["platform"] if entry else None,
        "services": entry["services"] if entry else [],
        "locations": found.locations,
        "moved_to": found.moved_to,
        "disabled": found.disabled,
        "idle_stop": found.idle_stop,
        "expires": found.fields.get("expires"),
    }


def slots_of(look: Look, found: State) -> dict | None:
    """Both slots; with the memory that they use, and how often systemd had to start them again."""
    if found.live is None or found.moved_to:
        return None
    made = {}
    launch = slots.load_launch(found.app, found.live)
    limit = launch.settings.get("memory") if launch else None
    for slot in SLOTS:
        release = found.fields["slots"][slot]
        if release is None:
            continue
        unit = look.units.get(paths.app_unit(found.app, slot), {})
        asleep = look.units.get(paths.wake_socket(found.app, slot), {}).get("ActiveState") == "active"
        asleep = asleep or found.asleep and slot == found.live_slot
        is_now = query.running_state(unit)
        made[slot] = {
            "release": release,
            "live": slot == found.live_slot,
            "state": "asleep" if is_now == "stopped" and asleep else is_now,
            "memory_mb": query.sum_mb([unit, look.units.get(paths.command_unit(found.app, slot), {})]),
            "restarts": int(unit.get("NRestarts") or 0),
        }
    live = made[found.live_slot]
    if live["restarts"]:
        message = f"{found.live} of {found.app} ended by itself and was started again, {live['restarts']} times."
        look.warn(message, f"cloudtool logs {found.app} --stream error")
    if limit and live["memory_mb"] and live["memory_mb"] > MEMORY_FULL * limit / (1 << 20):
        message = f"{found.app} uses {live['memory_mb']:.0f} MB of the {limit >> 20} MB that it may."
        look.warn(message, f"Raise memory in the app.ini of {found.app}, and cloudtool update.")
    text = "; ".join(f"{slot} {about['release']} {described(about)}" for slot, about in made.items())
    return {"text": text, "limit_mb": limit >> 20 if limit else None, **made}


def described(about: dict) -> str:
    memory = f" with {about['memory_mb']:.0f} MB" if about["memory_mb"] else ""
    return f"{'live, ' if about['live'] else ''}{about['state']}{memory}"


def load(_look: Look) -> dict:
    """How many processes wanted to run, in the mean of one, five and fifteen minutes."""
    minutes, processors = [round(number, 2) for number in os.getloadavg()], os.cpu_count()
    text = f"{' '.join(f'{number:.2f}' for number in minutes)} of {processors}"
    return {"text": text, "minutes": minutes, "processors": processors}


def disk(look: Look) -> dict:
    found = os.statvfs("/srv" if os.path.isdir("/srv") else "/")
    total, free = (blocks * found.f_frsize >> 20 for blocks in (found.f_blocks, found.f_bavail))
    if free < (1 - DISK_FULL) * total:
        look.warn(f"The disk is full but for {free} of {total} MB.", f"cloudtool clean-node {os.uname().nodename}")
    return {"text": f"{free} of {total} MB free", "free_mb": free, "total_mb": total}


def memory(look: Look) -> dict:
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":", 1) for line in file)
    total, free = (int(fields[name].split()[0]) >> 10 for name in ("MemTotal", "MemAvailable"))
    if free < (1 - MEMORY_FULL) * total:
        look.warn(f"The memory is full but for {free} of {total} MB.", "cloudtool status shows what each app uses.")
    return {"text": f"{free} of {total} MB free", "free_mb": free, "total_mb": total}


def restart(look: Look) -> dict | None:
    """What unattended upgrades leave to somebody."""
    if not os.path.exists(REBOOT):
        return None
    look.warn("The node wants to be rebooted for its updates.", f"cloudtool reboot-node {os.uname().nodename}")
    return {"text": "wants to be rebooted for its updates"}
