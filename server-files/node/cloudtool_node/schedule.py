"""Backups that the node takes by itself, by a timer of systemd for each app that asks for it.

The verb `schedule` sets and ends it. What the timer starts is `cloudtool-node backup APP`: the verb `backup`, with nobody at
the other end.
"""

import json
import os
import re

from . import checks, files, keep, lock, lookup, paths, records, slots, store, timers
from .context import Failure

AT = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
HOUR = 60
DAY = 24 * HOUR
# How long a backup waits for another one, or for a restore, of its app.
PATIENCE = 3600


def schedule(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    plan = ctx.request.get("plan")
    if plan is not None:
        check(ctx, app, plan)
    with lock.app(ctx, app, "schedule"):
        lookup.existing(app)
        with ctx.step("schedule"):
            if plan is None:
                cancel(ctx, app)
                return {"app": app, "next": None}
            return {"app": app, "next": start(ctx, app, plan)}


def check(ctx, app: str, plan) -> None:
    """Refuses now what would fail in the night."""
    if not isinstance(plan, dict):
        raise checks.bad("The plan of backups is not an object.")
    calendar(plan)
    keep.parse(plan.get("keep"))
    checks.age_recipients(plan.get("recipients") or [])
    ctx.request["store"] = plan.get("store")
    store.open_store(ctx, None, app)


def calendar(plan: dict) -> str:
    """When, as systemd says it. `every` is minutes, `at` a time of the day."""
    every, at = plan.get("every"), plan.get("at")
    if isinstance(at, str) and AT.fullmatch(at) and every is None:
        return f"*-*-* {at}:00"
    if isinstance(every, int) and at is None:
        if 0 < every < HOUR and HOUR % every == 0:
            return f"*-*-* *:00/{every}:00"
        if HOUR <= every <= DAY and every % HOUR == 0 and DAY % every == 0:
            return f"*-*-* 00/{every // HOUR}:00:00"
    raise checks.bad(f"Backups every {every} minutes, at {at!r}: that is no schedule.")


def start(ctx, app: str, plan: dict) -> str | None:
    """Gives when the next one is."""
    every = plan.get("every")
    lines = [f"OnCalendar={calendar(plan)}"]
    if every:
        # Apps with the same interval need not all begin at once.
        lines += [f"RandomizedDelaySec={min(every * 60 // 4, 900)}", "FixedRandomDelay=true"]
    files.write(paths.backup_plan(app), json.dumps(plan), durable=True)
    timers.set_time(ctx, paths.backup_timer(app), lines)
    return timers.show(ctx, paths.backup_timer(app), "NextElapseUSecRealtime") or None


def cancel(ctx, app: str) -> None:
    timer = paths.backup_timer(app)
    if not os.path.exists(paths.backup_plan(app)) and not os.path.exists(timers.drop_in(timer)):
        return
    timers.forget(ctx, timer)
    slots.systemctl(ctx, "reset-failed", paths.backup_service(app), check=False)
    files.remove(paths.backup_plan(app))
    # So that a later schedule does not make up for what was missed in between.
    files.remove(f"/var/lib/systemd/timers/stamp-{timer}")


def run(app: str) -> int:
    """What the timer starts. What it says goes to the journal, where it failed also to the app's record: see backup.py."""
    from . import session
    from .context import Writer

    try:
        plan = records.plan(checks.app_name(app))
    except Failure as failure:
        print(failure.message)
        return 2
    if plan is None:
        print(f"There is no schedule for {app}.")
        return 2
    request = {name: plan.get(name) for name in ("store", "recipients", "keep")}
    request |= {"verb": "backup", "app": app, "by": f"schedule@{os.uname().nodename}", "scheduled": True}
    request["lock_timeout"] = PATIENCE
    fine = session.answer(json.dumps(request).encode(), session.Input(0), Writer())
    return 0 if fine else 1
