"""What is mounted for an app: a unit and an empty directory a share of a server.

The newest is the one that app.ini asks for. The one before stays until it changes once more: the release that serves now, and the one
that `rollback` would bring back, know its path.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

UNITS = pathlib.Path("/etc/systemd/system")
APP = os.environ["CLOUDTOOL_APP"]
DATA = os.environ["CLOUDTOOL_APP_DATA"]
NOTES = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], "mounts")
KEPT = 2
# What needs no quoting in a unit: no blank, no quote, no backslash, no percent sign.
VALUE = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):(/[A-Za-z0-9._@+~/-]*)")
OPTIONS = re.compile(r"[a-z0-9_]+(=[A-Za-z0-9._:/-]+)?(,[a-z0-9_]+(=[A-Za-z0-9._:/-]+)?)*")


def fail(message):
    """Ends the script with one sentence for the person who deploys."""
    sys.exit(message)


def noted():
    """The shares that are mounted for the app, the newest first."""
    return json.loads(NOTES.read_text()) if NOTES.exists() else []


def note(shares):
    new = NOTES.with_suffix(".new")
    new.write_text(json.dumps(shares))
    os.replace(new, NOTES)


def directory(share):
    return f"{DATA}/nfs-{hashlib.sha256(share.encode()).hexdigest()[:12]}"


def unit(share):
    escaped = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", directory(share)], check=True, capture_output=True, text=True
    )
    return escaped.stdout.strip()


def systemctl(*words):
    done = subprocess.run(["systemctl", "--quiet", *words], check=False, capture_output=True, text=True)
    return done.returncode == 0


def mount(share, options):
    """Whatever was there before; without a server nothing is left of it."""
    os.makedirs(directory(share), mode=0o755, exist_ok=True)
    name = unit(share)
    path = UNITS / name
    text = f"""# Written by cloudtool (services/nfs/provision) for the app {APP}.
[Unit]
After=network-online.target
Wants=network-online.target
Before=remote-fs.target

[Mount]
What={share}
Where={directory(share)}
Type=nfs
Options={options},nosuid,nodev,noexec,_netdev
TimeoutSec=30

[Install]
WantedBy=remote-fs.target
"""
    if path.exists() and path.read_text() != text:
        path.write_text(text)
        systemctl("daemon-reload")
        systemctl("restart", name)
    elif not path.exists():
        path.write_text(text)
    systemctl("--no-reload", "enable", name)
    if not systemctl("start", name):
        reason = last_words(name)
        unmount(share)
        fail(f"{share} cannot be mounted: {reason}")


def last_words(name):
    log = ["journalctl", "--unit", name, "--output=cat", "--lines=20", "--no-pager"]
    lines = subprocess.run(log, check=False, capture_output=True, text=True).stdout.splitlines()
    said = [line for line in lines if line.startswith("mount")]
    return said[-1] if said else f"the server does not answer (on the node: journalctl -u '{name}')"


def unmount(share):
    """Gives back whether nothing of it is left. What an app has open stays mounted."""
    name = unit(share)
    stopped = systemctl("stop", name) or not (UNITS / name).exists()
    if not stopped or os.path.ismount(directory(share)):
        return False
    systemctl("--no-reload", "disable", name)
    (UNITS / name).unlink(missing_ok=True)
    systemctl("reset-failed", name)
    # Never a tree: were anything still mounted, that would be the server's.
    if os.path.isdir(directory(share)):
        os.rmdir(directory(share))
    return True
