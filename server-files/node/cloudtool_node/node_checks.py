"""What `doctor` looks at on the node beside what `status` says: each function is a check, and says what it finds by `look.warn`."""

import os
import re
import time

from . import firewall as rules
from . import files, front, lock, packages, paths, setup, sshd, state
from .context import Failure

# Units of apps: what became of them is said with the app.
OF_APPS = re.compile(r"cloudtool-(app|backup|certificate|command|cron|hook|inside|job|process|run|wake)-?[a-z]*[@-].*")
PLACES = ("/", "/boot", "/var", "/srv", "/tmp")
ROOM_LEFT = 0.1
LISTS_STAMP = "/var/lib/apt/periodic/update-success-stamp"
LISTS = "/var/lib/apt/lists"
LISTS_OLD_DAYS = 7
RUNNING = ("haproxy.service", setup.WAKER, setup.CERTIFICATES_TIMER, "apt-daily-upgrade.timer")
ENABLED = ("haproxy.service", *setup.ENABLED)


def node_name() -> str:
    return os.uname().nodename


def again() -> str:
    return f"cloudtool setup-node {node_name()}"


def system(look) -> dict:
    try:
        if newer := setup.check_release(setup.read_os_release()):
            look.warn(newer, "A newer cloudtool may know it.")
    except Failure as failure:
        look.warn(failure.message, failure.hint or "")
    return {"text": setup.read_os_release().get("PRETTY_NAME", "")}


def units(look) -> dict:
    """What setup-node has switched on runs and starts with the node, and nothing of the system has failed."""
    for unit, shown in setup.unit_states(look.ctx, list(RUNNING)).items():
        if shown["ActiveState"] not in ("active", "activating", "reloading"):
            look.warn(f"{unit} does not run ({shown['ActiveState'] or 'unknown'}).", again())
    # What systemd remembers of a unit's links may be older than they are.
    asked = look.ctx.run(["systemctl", "is-enabled", *ENABLED], check=False).stdout.splitlines()
    for unit, is_now in zip(ENABLED, asked):
        if is_now != "enabled":
            look.warn(f"{unit} does not start with the node ({is_now}).", again())
    listing = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full"]
    for unit in failed_units(look.ctx.run(listing).stdout):
        if unit not in RUNNING:
            look.warn(
                f"{unit} has failed.", f"cloudtool exec --on {node_name()} systemctl status {unit} says with what."
            )
    return {"text": f"{len(RUNNING)} run"}


def failed_units(listed: str) -> list[str]:
    """Of what systemctl lists, those that are no app's."""
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    return [name for name in names if not OF_APPS.fullmatch(name)]


def front_of_node(look) -> dict:
    """The front could be started again with what is on the disk, and leads where the apps' states say."""
    config = f"{paths.FRONT}/haproxy.cfg"
    valid = look.ctx.run(["haproxy", "-c", "-q", "-f", config], check=False)
    if valid.returncode:
        said = (valid.stderr + valid.stdout).strip().splitlines()
        look.warn(f"HAProxy does not accept {config}: {said[0] if said else 'it does not say why'}", again())
    try:
        wrong = wrong_routes(look.ctx)
    except Failure as failure:
        look.warn(failure.message, again())
        return {"text": "does not answer"}
    if wrong is None:
        look.warn("The front runs with an earlier configuration.", again())
    elif wrong:
        look.warn(
            f"{wrong} routes of the front do not lead where they should.",
            "cloudtool restart APP, of any app of the node, puts all right.",
        )
    return {"text": "runs, its configuration is good"}


def wrong_routes(ctx) -> int | None:
    """How many there are; None where the front lacks whole maps. Nobody changes them meanwhile."""
    with lock.node(ctx):
        wanted, running = front.desired(state.load_all()), front.show()
    if len(running) < len(wanted):
        return None
    return sum(len(front.deltas(path, running[path], routes)) for path, routes in wanted.items())


def room(look) -> dict:
    """Each file system once, but for the one of the apps' files, of whose bytes `disk` has spoken."""
    seen = {os.stat("/srv" if os.path.isdir("/srv") else "/").st_dev: "/srv"}
    spoken = set(seen)
    for place in PLACES:
        if os.path.isdir(place):
            seen.setdefault(os.stat(place).st_dev, place)
    told = []
    for device, place in seen.items():
        found = os.statvfs(place)
        total, free = (blocks * found.f_frsize >> 20 for blocks in (found.f_blocks, found.f_bavail))
        if device not in spoken and free < ROOM_LEFT * total:
            look.warn(f"{place} is full but for {free} of {total} MB.", f"cloudtool exec --on {node_name()} df -h")
        if found.f_files and found.f_favail < ROOM_LEFT * found.f_files:
            look.warn(
                f"The file system of {place} has room for {found.f_favail} more files only, of {found.f_files}.",
                f"cloudtool clean-node {node_name()}",
            )
        told.append(f"{place} {found.f_favail} inodes free" if found.f_files else f"{place} counts no inodes")
    return {"text": ", ".join(told)}


def clock(look) -> dict:
    """Whether it is right is for the client to say, who has another."""
    if os.path.exists("/run/systemd/container"):
        return {"text": "that of the machine that it runs on"}
    shown = look.ctx.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], check=False)
    if shown.stdout.strip() == "no":
        look.warn("The clock is set by no time server.", f"{again()}; then: timedatectl timesync-status on the node")
    return {"text": f"set by time servers: {shown.stdout.strip() or 'unknown'}"}


def firewall(look) -> dict:
    loaded = look.ctx.run(["nft", "list", "chain", "inet", "cloudtool", "input"], check=False)
    if loaded.returncode:
        look.warn(
            "The firewall is not loaded: apps can reach what is none of their business.",
            f"cloudtool exec --on {node_name()} systemctl reload-or-restart cloudtool-firewall.service",
        )
    if b"ENABLED=yes" in (files.read_bytes("/etc/ufw/ufw.conf") or b""):
        look.warn(
            "ufw is active too and may close ports 80 and 443.",
            f"cloudtool exec --on {node_name()} ufw allow 80,443/tcp",
        )
    return {"text": "not loaded" if loaded.returncode else f"loaded from {rules.PATH}"}


def ssh_server(look) -> dict:
    settings = sshd.read(look.ctx)
    if not settings:
        look.warn(
            "sshd does not accept its own configuration: after its next start nobody would get in.",
            f"cloudtool exec --on {node_name()} sshd -t says why.",
        )
    elif ("passwordauthentication", "yes") in settings:
        look.warn("sshd lets people in by password.", again())
    return {"text": "its configuration is good" if settings else "its configuration is bad"}


def installed(look) -> dict:
    if packages.interrupted():
        look.warn("An installation of packages was cut short.", again())
    days = lists_age(time.time())
    if days is not None and days > LISTS_OLD_DAYS:
        look.warn(
            f"The node has not heard of newer packages for {days:.0f} days.",
            f"cloudtool exec --on {node_name()} apt-get update says why.",
        )
    return {"text": f"asked for newer ones {days:.0f} days ago" if days is not None else "whole"}


def lists_age(now: float) -> float | None:
    """For how many days nobody has asked for newer packages."""
    times = [os.stat(path).st_mtime for path in (LISTS_STAMP, LISTS) if os.path.exists(path)]
    return max(0.0, now - max(times)) / 86400 if times else None


def unfinished(look) -> dict:
    """What a kill has left, and nobody is just at."""
    if lock.holder(f"{paths.LOCKS}/setup") is None:
        for action in files.names(setup.PENDING):
            look.warn(f"A set-up was cut short before it could {action}.", again())
    for app in files.names(paths.COPIES):
        found = state.load(app)
        if (found is None or found.live is None) and lock.holder(lock.app_file(app)) is None:
            look.warn(f"A copy called {app} was cut short.", f"cloudtool remove {app} --with-data")
    return {"text": "nothing is"}
