"""Apps with an end: a timer of systemd's runs `cloudtool-node expire APP`, which removes the app with all its data.

The time is in the app's state (`expires`), and in the timer's drop-in (timers.py). After a reboot boot.py starts the timer
again, or what it should have started meanwhile.
"""

import time

from . import lock, paths, state, timers
from .times import FORMAT


def schedule(ctx, app: str, seconds: int) -> str:
    """The app is removed after this time; gives when that is."""
    at = int(time.time()) + seconds
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    timers.set_time(ctx, paths.expiry_timer(app), [f"OnCalendar={when}"])
    return time.strftime(FORMAT, time.gmtime(at))


def forget(ctx, app: str) -> None:
    timers.forget(ctx, paths.expiry_timer(app))


def wanted(found: state.State) -> list[str]:
    """The unit of the app's end that runs."""
    if not found.fields.get("expires"):
        return []
    return [paths.expiry_service(found.app) if is_over(found) else paths.expiry_timer(found.app)]


def is_over(found: state.State) -> bool:
    expires = found.fields.get("expires")
    return bool(expires) and expires <= time.strftime(FORMAT, time.gmtime())


def end(ctx, app: str) -> None:
    """What the timer runs."""
    # Boot asks this module which timers run, and needs nothing of what a removal does.
    from . import remove

    with lock.app(ctx, app, "expire"):
        found = state.load(app)
        if found and is_over(found):
            remove.take_away(ctx, app, found, with_data=True)
