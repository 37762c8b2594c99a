"""Apps with an end: a timer of systemd's runs `cloudtool-node expire APP`, which removes the app with all its data.

The time is in the app's state (`expires`), and in a drop-in of the timer, which systemd reads without a reload when it loads
the unit for the first time. After a reboot boot.py starts the timer again, or what it should have started meanwhile.
"""

import os
import time

from . import files, lock, paths, slots, state
from .times import FORMAT


def schedule(ctx, app: str, seconds: int) -> str:
    """The app is removed after this time; gives when that is."""
    at = int(time.time()) + seconds
    directory = f"{paths.UNITS}/{paths.expiry_timer(app)}.d"
    files.make_directory(directory)
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    files.write(f"{directory}/at.conf", f"[Timer]\nOnCalendar={when}\n", mode=0o644, durable=True)
    slots.systemctl(ctx, "restart", paths.expiry_timer(app))
    return time.strftime(FORMAT, time.gmtime(at))


def forget(ctx, app: str) -> None:
    directory = f"{paths.UNITS}/{paths.expiry_timer(app)}.d"
    if os.path.isdir(directory):
        slots.systemctl(ctx, "stop", paths.expiry_timer(app), check=False)
        files.remove_tree(directory)


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
