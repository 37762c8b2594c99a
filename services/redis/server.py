"""What the scripts of this folder share that start and end servers: one for each app of another node."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys

import elsewhere
import lender
import memory

DIRECTORY = "/etc/redis/cloudtool-lent"
DATA = "/var/lib/redis/cloudtool-lent"
UNIT = "/etc/systemd/system/cloudtool-redis@.service"
FIRST_PORT = 13000

SERVICE = f"""# Written by cloudtool (services/redis/lend): the keys of an app of another node.
[Unit]
Description=Redis for the app %i of another node
After=network.target

[Service]
Type=notify
User=redis
Group=redis
ExecStart=/usr/bin/redis-server {DIRECTORY}/%i.conf
Restart=always
RestartSec=1s
LimitNOFILE=65535
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ProtectSystem=strict
ReadWritePaths={DATA}/%i

[Install]
WantedBy=multi-user.target
"""

# Whoever has these could read and write files of the node, connect to others from it, or end the server.
TAKEN = "CONFIG MODULE DEBUG SHUTDOWN REPLICAOF SLAVEOF MIGRATE"


def run(mine, certificate_changed):
    """The server of an app, as its record says it, is up when this returns; gives its port."""
    app = mine["app"]
    config = pathlib.Path(DIRECTORY, f"{app}.conf")
    port = port_of(config) or free_port()
    account = pwd.getpwnam("redis")
    for path in (DATA, f"{DATA}/{app}"):
        os.makedirs(path, 0o700, exist_ok=True)
        os.chown(path, account.pw_uid, account.pw_gid)
    changed = lender.replace(UNIT, SERVICE)
    if changed:
        systemctl("daemon-reload")
    families = sorted({"::" if ":" in address else "0.0.0.0" for address in lender.addresses(mine)})
    text = configuration(app, port, " ".join(families))
    changed |= lender.replace(config, text, mode=0o640, owner=(0, account.pw_gid))
    changed |= know_owner(pathlib.Path(f"{DATA}/{app}/users.acl"), mine["terms"]["owner"], account)
    unit = f"cloudtool-redis@{app}.service"
    systemctl("enable", unit)
    systemctl("restart" if changed or certificate_changed else "start", unit)
    return port


def configuration(app, port, addresses):
    limit, eviction = memory.settings()
    taken = "\n".join(f'rename-command {name} ""' for name in TAKEN.split())
    return f"""# Written by cloudtool (services/redis/lend).
bind {addresses}
port 0
tls-port {port}
tls-cert-file {DIRECTORY}/server.pem
tls-key-file {DIRECTORY}/server.key
tls-ca-cert-file {DIRECTORY}/server.pem
tls-auth-clients no
protected-mode no
supervised systemd
databases 1
dir {DATA}/{app}
aclfile {DATA}/{app}/users.acl
maxmemory {limit}
maxmemory-policy {eviction}
appendonly yes
appendfsync everysec
save ""
{"" if is_old() else "sanitize-dump-payload yes"}
{taken}
"""


def know_owner(path, hashed, account):
    """The owner has this password and no other; gives whether that is new. Only a server that does not run can be told."""
    known = path.read_text() if path.exists() else "user default off nopass -@all\n"
    if f" {hashed} " in known:
        return False
    others = [line for line in known.splitlines() if not line.startswith(f"user {elsewhere.OWNER} ")]
    channels = "" if is_old() else " &*"
    line = f"user {elsewhere.OWNER} on {hashed} +@all ~*{channels}"
    systemctl("stop", f"cloudtool-redis@{path.parent.name}.service")
    return lender.replace(path, "\n".join([*others, line, ""]), mode=0o600, owner=(account.pw_uid, account.pw_gid))


def is_old():
    """Redis 6.0 knows no rights on channels, and does not look through what is restored."""
    version = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout
    return "v=6.0." in version


def port_of(config):
    found = config.exists() and re.search(r"^tls-port (\d+)$", config.read_text(), re.MULTILINE)
    return found[1] if found else None


def free_port():
    taken = {port_of(config) for config in pathlib.Path(DIRECTORY).glob("*.conf")}
    return next(str(port) for port in range(FIRST_PORT, FIRST_PORT + 1000) if str(port) not in taken)


def end(app):
    systemctl("disable", "--now", f"cloudtool-redis@{app}.service")
    pathlib.Path(DIRECTORY, f"{app}.conf").unlink(missing_ok=True)
    shutil.rmtree(f"{DATA}/{app}", ignore_errors=True)


def systemctl(*words):
    done = subprocess.run(["systemctl", "--quiet", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"systemctl {' '.join(words)}: {done.stderr.strip() or 'failed'}")
