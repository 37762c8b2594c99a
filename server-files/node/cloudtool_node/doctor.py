"""`doctor`: everything that is wrong with the node and its apps, as far as the node can find it, each with the command that
mends it. Changes nothing.

What `status` has to say is a check like any other. The others take longer than somebody may wait who only looks: they start programs,
ask the apps themselves, and try their services.
"""

import time

from . import checks, paths, probe, query, state, status
from .context import Failure

# As the entries of `status`: a name, and where the function is. It says what it finds by `look.warn`.
NODE_CHECKS = {
    "system": ("node_checks", "system"),
    "units": ("node_checks", "units"),
    "front": ("node_checks", "front_of_node"),
    **status.NODE_ENTRIES,
    "room": ("node_checks", "room"),
    "clock": ("node_checks", "clock"),
    "firewall": ("node_checks", "firewall"),
    "sshd": ("node_checks", "ssh_server"),
    "packages": ("node_checks", "installed"),
    "unfinished": ("node_checks", "unfinished"),
}
APP_CHECKS = {
    **status.ENTRIES,
    "health": ("app_checks", "health_of_app"),
    "previous": ("app_checks", "previous"),
    "settings": ("app_checks", "settings"),
    "services": ("app_checks", "works_of_services"),
    "backup plan": ("app_checks", "backup_plan"),
    "unfinished": ("app_checks", "unfinished"),
}


def doctor(ctx, _payload) -> dict:
    patterns = [pattern.lower() for pattern in checks.texts(ctx.request.get("filter"), "The filters")]
    return {"program": paths.program_version(), **examine(ctx, patterns), "time": time.time()}


def examine(ctx, patterns: list[str]) -> dict:
    """The node, and the apps that match the patterns (none: all). Apps that have moved are looked after where they are."""
    wanted = [found for found in state.load_all() if query.matches(found, patterns) and not found.moved_to]
    look = status.Look(ctx, wanted)
    apps = [{"app": found.app, "hosts": found.hosts(), "checks": examined(look, APP_CHECKS, found)} for found in wanted]
    addresses = ctx.run(["hostname", "-I"], check=False).stdout.split()
    return {"apps": apps, "node": {**probe.node(), "addresses": addresses, "checks": examined(look, NODE_CHECKS)}}


def examined(look, checks_of: dict, *about) -> list[dict]:
    """All checks, in their order. One that cannot be made is a finding itself, and keeps no other from being made."""
    return [one(look, name, place, *about) for name, place in checks_of.items()]


def one(look, name: str, place: tuple[str, str], *about) -> dict:
    try:
        told = look.told({name: place}, *about)
    except (Failure, OSError, ValueError, KeyError) as error:
        look.warnings.clear()
        hint = getattr(error, "hint", None) or "cloudtool setup-node brings the node's own files back."
        message = f"This could not be looked at: {error}"
        return {"check": name, "text": None, "findings": [{"message": message, "hint": hint}]}
    return {"check": name, "text": told.get(name, {}).get("text"), "findings": told["warnings"]}
