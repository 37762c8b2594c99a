"""New shares, or a new login, for an app that serves: made beside those in use, started with a release, then switched to.

As with an update, everything before the switch can fail without a visitor noticing, and a kill at any moment leaves one
whole set in use: recover.py destroys the others.
"""

from . import crons, paths, places, processes, recover, shares, slots
from .context import Failure
from .deploy import start_candidate, switch
from .state import State, Uses


def nothing(_asked) -> None:
    """New shares that stay empty, or none."""


def renew(
    ctx, current: State, launch: slots.Launch, names: list[str], fill, hooks=False, locations=None, logins=()
) -> None:
    """`fill` is given what the app asks of its services, with the new shares of `names`. `launch` is the release that serves
    from them: the live one or another that is kept. `hooks`: its update_fetch runs. `locations`: those it has from then on.
    `logins`: the services that get a new login."""
    locations = current.locations if locations is None else locations
    new = current.doom_next(names, list(logins))
    current.save()
    slot, was_live, seen = current.idle_slot, current.live_slot, bool(current.locations)
    try:
        led = provide(ctx, current, launch, new, fill)
        candidate = start_candidate(ctx, current, slot, led, locations, launch.settings if hooks else None)
        with ctx.step("health") as step:
            step.detail = str(candidate.check())
        switch(ctx, current, slot, launch.release, locations, uses=new)
    except BaseException:
        if current.live_slot != slot:
            recover.give_up(ctx, current, slot)
        raise
    led.save(current.app)
    with ctx.step("drain"):
        put_previous_back(ctx, current, was_live, seen)
    if names or logins:
        crons.end_jobs(ctx, current.app)
    processes.follow(ctx, current)
    if names:
        flush(ctx, current, led)
    with ctx.step("prune"):
        shares.destroy_doomed(ctx, current)


def provide(ctx, current: State, launch: slots.Launch, new: Uses, fill) -> slots.Launch:
    """Makes what is new and fills the shares; gives the release that uses them."""
    if new == Uses():
        return shares.launch_of(ctx, current, launch.release)
    from . import service_folders

    wanted = current.uses.changed_by(new)
    places.inherit(current.app, current.uses.shares, new.shares)
    with ctx.step("services"):
        led = shares.lead(ctx, launch, current.app, wanted)
    led.tell_secrets(ctx, current.app)
    fill(service_folders.Asked.by(current.app, launch.settings, wanted))
    return led


def flush(ctx, current: State, launch: slots.Launch) -> None:
    """Caches of the data that were exchanged. The new ones serve by now, so what does not work is told and undoes nothing."""
    from . import service_folders, services

    asked = service_folders.Asked.by(current.app, launch.settings, current.uses)
    for service in service_folders.in_order(list(asked.values)):
        if not service.has("flush"):
            continue
        try:
            environment = services.ready(ctx, service, asked)
            services.run_script(ctx, service, "flush", "could not be emptied", environment)
        except Failure as failure:
            ctx.warning(f"{failure.message} It may still have what was made from the old data.")


def put_previous_back(ctx, current: State, slot: str, seen: bool) -> None:
    """The slot that served until now ends its requests, if anybody was led to it, and the previous release sleeps in it again."""
    if seen:
        slots.put_away(ctx, current.app, slot)
    else:
        slots.kill(ctx, paths.app_unit(current.app, slot))
    previous = shares.launch_of(ctx, current, current.previous) if current.previous else None
    if previous:
        slots.configure(current, slot, previous)
        slots.sleep(ctx, current.app, slot)
    else:
        slots.unconfigure(current.app, slot)
