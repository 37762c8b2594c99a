"""Locations by hand: `activate` gives one to an app (and takes it from the app that had it), `deactivate` takes some away."""

import contextlib

from . import checks, front, lock, lookup, moves, recover, rollback, slots, state
from .context import Failure
from .deploy import answer, united


def activate(ctx, _payload) -> dict:
    location = checks.location(ctx.request.get("location"))
    owner = owner_of(location)
    app = checks.app_name(ctx.request["app"]) if ctx.request.get("app") else owner
    if app is None:
        raise Failure("not-found", f"{location} belongs to no app.", f"cloudtool activate {location} APP")
    with locked(ctx, {app, owner} - {None}, "activate"):
        if owner_of(location) != owner:
            raise Failure("changed", f"{location} has just been given to another app.", "Try again.")
        current = lookup.existing(app)
        recover.recover(ctx, current)
        release = wanted_release(ctx.request, current)
        if owner not in (None, app):
            rollback.serve(ctx, current, release, current.locations)
            take_over(ctx, current, location, lookup.existing(owner))
            return answer(current, [location])
        return answer(current, rollback.serve(ctx, current, release, united(current.locations, [location])))


def wanted_release(request: dict, current: state.State) -> str:
    if request.get("release"):
        return checks.release_id(request["release"])
    if not request.get("app"):
        return rollback.previous(current)
    if current.live is None:
        raise moves.nothing_serves(current)
    return current.live


def take_over(ctx, current: state.State, location: str, owner: state.State) -> None:
    """Moves a location between two apps. The new claim is written first: until the old one is gone, the newer counts."""
    with ctx.step("switch"), lock.node(ctx):
        ctx.commit()
        current.set_locations(united(current.locations, [location]))
        owner.set_locations([known for known in owner.locations if known != location], claim=False)
        front.route(current, owner)
        current.save()
        owner.save()
    for changed in (current, owner):
        slots.look_after_certificate(ctx, changed)


def deactivate(ctx, _payload) -> dict:
    locations = checks.locations(ctx.request.get("locations"))
    removed, unknown = [], []
    for location in locations:
        app = owner_of(location)
        if app is None:
            unknown.append(location)
            continue
        with locked(ctx, {app}, "deactivate"):
            current = lookup.existing(app)
            recover.recover(ctx, current)
            with ctx.step("switch"), lock.node(ctx):
                ctx.commit()
                current.set_locations([known for known in current.locations if known != location])
                front.route(current)
                current.save()
            slots.look_after_certificate(ctx, current)
        removed.append({"location": location, "app": app})
    return {"removed": removed, "unknown": unknown}


def owner_of(location: str) -> str | None:
    found = lookup.owner_of(location)
    return found.app if found else None


@contextlib.contextmanager
def locked(ctx, apps: set[str], verb: str):
    """Several apps at once, always in the same order, so that two who do this cannot wait for each other."""
    with contextlib.ExitStack() as stack:
        for app in sorted(apps):
            stack.enter_context(lock.app(ctx, app, verb))
        yield
