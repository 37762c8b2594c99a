"""Timers of single apps: when they elapse is in a drop-in, so that no app needs a unit file of its own."""

import os

from . import files, paths, slots


def set_time(ctx, timer: str, lines: list[str]) -> None:
    """The timer runs from now on, with these lines in its section."""
    directory = drop_in(timer)
    files.make_directory(directory)
    content = "\n".join(["[Timer]", *lines]) + "\n"
    changed = files.write(f"{directory}/when.conf", content, mode=0o644, durable=True)
    # systemd reads a drop-in without being told when it loads the unit for the first time.
    if changed and show(ctx, timer, "NeedDaemonReload") == "yes":
        ctx.run(["systemctl", "daemon-reload"])
    slots.systemctl(ctx, "restart" if changed else "start", timer)


def forget(ctx, timer: str) -> None:
    if os.path.isdir(drop_in(timer)):
        slots.systemctl(ctx, "stop", timer, check=False)
        files.remove_tree(drop_in(timer))


def drop_in(timer: str) -> str:
    return f"{paths.UNITS}/{timer}.d"


def show(ctx, unit: str, name: str) -> str:
    return slots.systemctl(ctx, "show", "--value", f"--property={name}", unit).stdout.strip()
