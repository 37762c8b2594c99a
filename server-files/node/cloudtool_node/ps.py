"""`ps`, `scale`, `restart`: an app's processes, how many there are, and a fresh start of them."""

import time

from . import checks, lock, lookup, moves, paths, processes, query, recover, renew, slots
from .context import Failure
from .state import State
from .times import FORMAT

WEB = "web"


def ps(ctx, _payload) -> dict:
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    return {"app": current.app, "release": current.live, "processes": described(ctx, current)}


def described(ctx, current: State) -> list[dict]:
    """The live slot and its like, then each process."""
    if current.live is None:
        return []
    app, slot = current.app, current.live_slot
    units = processes.known(app)
    shown = slots.show(ctx, [paths.app_unit(app, slot), paths.command_unit(app, slot), *units])
    web = {"process": WEB, **one(shown[paths.app_unit(app, slot)])} | ({"state": "asleep"} if current.asleep else {})
    command = one(shown[paths.command_unit(app, slot)])
    if command["pid"]:
        memory = query.sum_mb([shown[paths.app_unit(app, slot)], shown[paths.command_unit(app, slot)]])
        web |= {**command, "memory_mb": memory}
    return [web, *({"process": processes.title(unit), **one(shown[unit])} for unit in units)]


def one(unit: dict) -> dict:
    pid = int(unit.get("MainPID", "0"))
    return {
        "state": state_of(unit),
        "pid": pid or None,
        "memory_mb": query.memory_mb(unit) if pid else None,
        "since": since(unit) if pid else None,
        "restarts": int(unit.get("NRestarts") or 0),
        "note": note(unit),
    }


def state_of(unit: dict) -> str:
    """`waiting`: it has failed, and is started again in a while."""
    if unit.get("ActiveState") == "activating" and unit.get("StatusText"):
        return "waiting"
    return "starting" if unit.get("ActiveState") == "activating" else query.running_state(unit)


def note(unit: dict) -> str | None:
    """What runtime/launch.py says; it runs as the app, which may say anything."""
    text = "".join(character for character in unit.get("StatusText", "") if character.isprintable())
    return text[:200] or None


def since(unit: dict) -> str | None:
    monotonic = int(unit.get("ExecMainStartTimestampMonotonic") or 0)
    if not monotonic:
        return None
    return time.strftime(FORMAT, time.gmtime(time.time() - time.monotonic() + monotonic / 1e6))


def scale(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    wanted = checks.counts(ctx.request.get("counts"))
    with lock.app(ctx, app, "scale"):
        current = here(app)
        for name in wanted:
            known_process(current, name)
        ctx.commit()
        current.fields["scale"] = {**current.fields.get("scale", {}), **wanted}
        current.save()
        with ctx.step("processes") as step:
            step.detail = ", ".join(recover.recover(ctx, current)) or None
        return {"app": app, "scale": current.fields["scale"], "processes": described(ctx, current)}


def restart(ctx, _payload) -> dict:
    """The app as a switch of its release to the other slot, so that no request fails; processes as they come."""
    app = checks.app_name(ctx.request.get("app"))
    names = checks.texts(ctx.request.get("processes"), "The processes")
    with lock.app(ctx, app, "restart"):
        current = here(app)
        recover.recover(ctx, current)
        for name in names:
            if name != WEB:
                known_process(current, name)
        if not names or WEB in names:
            renew.renew(ctx, current, moves.require_live(current), [], renew.nothing)
        ended = [unit for unit in processes.known(app) if processes.title(unit).rpartition(".")[0] in names]
        if ended:
            with ctx.step("processes"):
                slots.systemctl(ctx, "restart", *ended)
        return {"app": app, "release": current.live, "processes": described(ctx, current)}


def here(app: str) -> State:
    current = lookup.existing(app)
    moves.require_here(current)
    moves.require_live(current)
    return current


def known_process(current: State, name: str) -> None:
    names = list(moves.require_live(current).settings.get("workers", {}))
    if name not in names:
        there = f"there are: {', '.join(names)}" if names else "its app.ini has no [process:NAME]"
        raise Failure("not-found", f"{current.app} {current.live} has no process {name}; {there}.")
