"""`rotate`: a new password for a service of an app that serves. The new login is made beside the old one, which ends when
nothing uses it any more: see "Logins" in docs/architecture.md."""

from . import checks, lock, moves, places, renew, restore, service_folders
from .context import Failure


def rotate(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "rotate"), lock.backup(ctx, app):
        current = restore.recovered(ctx, app)
        launch = moves.require_live(current)
        service = wanted(service_folders.Asked.by(app, launch.settings, current.uses), str(ctx.request.get("service")))
        renew.renew(ctx, current, launch, [], renew.nothing, logins=[service.name])
        return {"app": app, "release": current.live, "service": service.name, "login": current.uses.login(service.name)}


def wanted(asked: service_folders.Asked, name: str) -> service_folders.Service:
    able = {service.name: service for service in service_folders.in_order(list(asked.values)) if service.has("retire")}
    if name not in able:
        known = ", ".join(able) or "none"
        raise Failure(
            "not-found",
            f"{asked.app} has no service {name!r} whose password can be changed while it serves; those that have one: {known}.",
        )
    if places.is_addressed(asked.app, able[name].share_of, asked.share(able[name])):
        raise Failure(
            "unsupported",
            f"{asked.app} has its {name} in a server whose address app.ini says, where this node cannot make a new login.",
            "Change the password there, and update with --force.",
        )
    return able[name]
