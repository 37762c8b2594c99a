"""What a client has to know before it plans: the node, the app, who owns the locations. Reads only, and starts nothing:
it is the first thing of every command."""

import json
import os
import sys

from . import basis, checks, files, http1, lock, paths, state, values


def probe(ctx, _payload) -> dict:
    request = ctx.request
    app = checks.app_name(request["app"]) if request.get("app") else None
    locations = checks.locations(request.get("locations"))
    found = state.load(app) if app else None
    return {
        "program": paths.program_version(),
        "node": node(),
        "app": describe(found, request) if found else None,
        "values": values.names(app, found) if app else [],
        "basis": basis.of(app, found) if app and request.get("manifest") else None,
        "taken": taken(app, locations) if locations else {},
        "lock": lock.holder(lock.app_file(app)) if app else None,
    }


def version(_ctx, _payload) -> dict:
    return {"program": paths.program_version()}


def describe(found: state.State, request: dict) -> dict:
    digest = request.get("digest")
    entry = found.entry(found.live) if found.live else None
    healthy = bool(found.live) and (found.asleep or http1.listens(found.port(found.live_slot)))
    same = bool(healthy and digest and entry and entry["digest"] == digest)
    answer = {
        "name": found.app,
        "live": found.live,
        "previous": found.previous,
        "slot": found.live_slot,
        "locations": found.locations,
        "same": same,
        "scheduled": os.path.exists(paths.backup_plan(found.app)),
        "healthy": healthy,
        "digest": entry["digest"] if entry else None,
        "since": found.fields["since"],
        "by": found.fields["by"],
        "next": found.next_release(),
        "kept": found.kept,
    }
    if not same:
        answer["have"] = have(found)
    if request.get("manifest") and found.live:
        from . import slots

        text = files.read(paths.manifest(found.app, found.live))
        launch = slots.load_launch(found.app, found.live)
        answer["manifest"] = json.loads(text) if text else None
        answer["settings"] = launch.settings if launch else None
    return answer


def have(found: state.State) -> list[str]:
    known = set()
    for release in found.kept:
        text = files.read(paths.manifest(found.app, release))
        if text is not None:
            known.update(f"{entry['sha256']}:{entry['mode']}" for entry in json.loads(text)["files"])
    return sorted(known)


def taken(app: str | None, locations: list[str]) -> dict[str, str]:
    """Which of the locations belong to another app."""
    return {
        location: other.app
        for other in state.load_all()
        if other.app != app
        for location in locations
        if location in other.locations
    }


def node() -> dict:
    system = os_release()
    disk = os.statvfs("/srv" if os.path.isdir("/srv") else "/")
    uname = os.uname()
    return {
        "hostname": uname.nodename,
        "os": system.get("PRETTY_NAME", ""),
        "os_id": system.get("ID", ""),
        "os_version": system.get("VERSION_ID", ""),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "arch": uname.machine,
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "disk_free_mb": disk.f_bavail * disk.f_frsize >> 20,
        "virtualization": virtualization(),
        "services": installed_services(),
    }


def os_release() -> dict[str, str]:
    text = files.read("/etc/os-release") or ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


def virtualization() -> str:
    """As systemd-detect-virt says it; asked once a boot, since starting it costs as much as all the rest."""
    path = f"{paths.RUN}/virtualization"
    known = files.read(path)
    if known is None:
        import subprocess

        try:
            known = subprocess.run(["systemd-detect-virt"], capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            known = "unknown"
        try:
            os.makedirs(paths.RUN, 0o755, exist_ok=True)
            files.write(path, known, mode=0o644)
        except OSError:
            pass
    return known


def installed_services() -> list[str]:
    """As services.installed says it, without importing what provisioning needs: a probe has no time for that."""
    names = files.names(paths.INSTALLED_SERVICES)
    return [name.removesuffix(".installed") for name in names if name.endswith(".installed")]
