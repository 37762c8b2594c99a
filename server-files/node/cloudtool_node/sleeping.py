"""Apps that nobody visits stop and use nothing, until the front has a request for one (waking.py)."""

import time

from . import checks, files, front, lock, lookup, moves, paths, recover, slots, state, waking
from .context import Failure


def sleep(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "sleep"):
        current = existing(app)
        recover.recover(ctx, current)
        was = current.asleep
        if not was:
            put_to_sleep(ctx, current)
        return {"app": app, "release": current.live, "changed": not was}


def wake(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    was = existing(app).asleep
    with ctx.step("start"), lock.waking(ctx, app):
        ctx.commit()
        waking.start(ctx, app)
        waking.settle(ctx, app)
    return {"app": app, "release": existing(app).live, "changed": was}


def existing(app: str) -> state.State:
    current = lookup.existing(app)
    moves.require_here(current)
    if current.live is None:
        raise moves.nothing_serves(current)
    front.require(paths.QUIET_MAP)
    return current


def put_to_sleep(ctx, current: state.State) -> None:
    """The caller holds the app. The front has the app woken from now on; then what was begun ends, and the slot."""
    with lock.waking(ctx, current.app):
        with ctx.step("switch"), lock.node(ctx):
            ctx.commit()
            files.write(paths.asleep(current.app), "", durable=True)
            front.route(current)
        with ctx.step("drain"):
            slots.systemctl(ctx, "stop", paths.app_unit(current.app, current.live_slot))


def look(ctx) -> None:
    """What the timer runs: those that were idle for long enough go to sleep."""
    with lock.node(ctx):
        awake = [found for found in state.load_all() if found.idle_stop and not found.asleep]
        if not awake:
            # Whoever wakes or switches to one that may sleep starts it after the node is free again.
            slots.systemctl(ctx, "stop", "--no-block", paths.IDLE_TIMER)
            return
    visits, up = front.visits(), front.uptime()
    units = slots.show(ctx, [paths.app_unit(found.app, found.live_slot) for found in awake])
    for found in awake:
        began = int(units.get(paths.app_unit(found.app, found.live_slot), {}).get("ActiveEnterTimestampMonotonic") or 0)
        runs = time.monotonic() - began / 1e6
        if is_idle(found.idle_stop, visits.get(found.app), up, runs):
            doze_off(ctx, found.app, found.live)


def is_idle(idle_stop: int, visit: tuple[float, bool] | None, up: float, runs: float) -> bool:
    """`visit`: how long ago the last request was, and whether one runs; None: there was none that the front knows of, which
    is as old as `up`. `runs`: for how long the slot has been running. All in seconds."""
    ago, busy = visit or (up, False)
    return not busy and min(ago, runs) >= idle_stop


def doze_off(ctx, app: str, release: str) -> None:
    """Unless somebody is working on it: then it is not idle."""
    try:
        with lock.app(ctx, app, "sleep"):
            current = state.load(app)
            if current and current.live == release and not current.asleep and not current.moved_to:
                put_to_sleep(ctx, current)
    except Failure as failure:
        if failure.code != "busy":
            raise
