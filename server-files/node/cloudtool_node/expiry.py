"""Apps with an end: a timer of systemd's runs `cloudtool-node expire APP`, which removes the app with all its data.

The time is in the app's state (`expires`), and in a drop-in of the timer, which systemd reads without a reload when it loads
the unit for the first time. After a reboot boot.py starts the timer again, or what it should have started meanwhile.
"""

import os
import time

from . import audit, files, lock, paths, remove, slots, state
from .context import Context, Failure, Writer
from .times import FORMAT

PATIENCE = 3600


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


def main(app: str) -> int:
    request = {"verb": "remove", "by": "cloudtool (its time was over)", "app": app, "lock_timeout": PATIENCE}
    ctx = Context(request, Writer(os.open(os.devnull, os.O_WRONLY)))
    try:
        with lock.app(ctx, app, "expire"):
            found = state.load(app)
            if found is None or not is_over(found):
                print(f"{app} is not to be removed.")
                return 0
            remove.take_away(ctx, app, found, with_data=True)
    except Failure as failure:
        print(ctx.redacted(failure.message))
        audit.record(ctx, failure.code, None)
        return 1
    audit.record(ctx, "ok", None)
    print(f"{app} is removed: its time was over.")
    return 0
