"""What an app's services are to a person: `shares` says what an app has of each, `console` opens one by hand."""

import os
import sys

from . import checks, lookup, moves, places, service_folders, services
from .context import Context, Failure

HIDDEN = "***"


def shares(ctx, _payload) -> dict:
    reveal = bool(ctx.request.get("reveal"))
    launch, asked = services_of(ctx.request.get("app"))
    found = service_folders.in_order(list(asked.values))
    described = [describe(service, asked, launch.variables, reveal) for service in found]
    return {"app": asked.app, "release": launch.release, "services": described}


def services_of(app: str):
    """The release that serves, and how it uses its services."""
    current = lookup.existing(checks.app_name(app))
    launch = moves.require_live(current)
    return launch, service_folders.Asked.by(current.app, launch.settings, current.uses)


def describe(service, asked, variables: dict, reveal: bool) -> dict:
    mine = {name: variables[name] for name in service.variables if name in variables}
    shown = {name: value if reveal or name not in service.secrets else HIDDEN for name, value in mine.items()}
    address = [mine.get(name, "") for name in service.address] if service.address else None
    return {
        "name": service.name,
        "description": service.description,
        "share": services.numbered(asked.app, asked.share(service)),
        "data": services.data_directory(service, asked) if service.data else None,
        "variables": shown,
        "address": address if address and all(address) else None,
        "console": service.has("console"),
        "rotates": service.has("retire") and not places.is_addressed(asked.app, service.share_of, asked.share(service)),
    }


def console(app: str, name: str) -> int:
    """Becomes the service's own client program, as the app, on the terminal this was called with."""
    ctx = Context.for_nobody("console", "console")
    try:
        launch, asked = services_of(app)
        wanted = {service.name: service for service in service_folders.in_order(list(asked.values))}
        if name not in wanted or not wanted[name].has("console"):
            known = ", ".join(service.name for service in wanted.values() if service.has("console")) or "none"
            raise Failure("not-found", f"{app} has no service {name!r} with a console; those that have one: {known}.")
        service = wanted[name]
        environment = services.ready(ctx, service, asked) | launch.variables
        environment["TERM"] = os.environ.get("TERM", "dumb")
        path = services.script(service, "console")
    except Failure as failure:
        print(f"error: {failure.message}", file=sys.stderr)
        return 1
    os.chdir("/")
    os.execve(path, [path], environment)
