"""The verb `setup`: a bare Ubuntu or Debian server becomes a cloudtool node.

Every step looks first and changes only what is not as it should be, so running it again converges, and an interrupted
run is finished by the next one. An action that must follow a change (a reload) is noted down before the change is made,
and struck out when it is done: a kill in between loses nothing.
"""

import contextlib
import os
import re

from . import files, firewall, front, lock, packages, paths, session, sshd
from .context import Failure

PACKAGES = (
    "haproxy",
    "apache2",
    "libapache2-mod-wsgi-py3",
    "python3-venv",
    "nftables",
    "logrotate",
    "unattended-upgrades",
    "zstd",
)
TIME_SYNC = "systemd-timesyncd"
OTHER_TIME_SYNCS = ("chrony", "ntpsec", "ntp", "openntpd")

# The oldest release that is supported, and the newest that cloudtool was tried on.
RELEASES = {"debian": ((12, 0), (13, 0)), "ubuntu": ((22, 4), (24, 4))}

# Path and mode of what a node has before its first app; owner root.
DIRECTORIES = (
    ("/srv/cloudtool", 0o755),
    (paths.APPS, 0o755),
    (paths.ETC, 0o755),
    (f"{paths.ETC}/apps", 0o755),
    (f"{paths.ETC}/firewall.d", 0o755),
    (paths.FRONT, 0o755),
    (paths.MAINTENANCE, 0o755),
    (paths.CHALLENGES, 0o755),
    (paths.TLS, 0o700),
    (paths.SERVICE_SETTINGS, 0o700),
    (paths.VAR, 0o700),
    (paths.STATES, 0o700),
    (paths.MANIFESTS, 0o700),
    (paths.SECRETS, 0o700),
    (paths.INSTALLED_SERVICES, 0o700),
    (paths.LOCKS, 0o700),
    (paths.ASLEEP, 0o700),
    (paths.ACME, 0o700),
    (paths.CERTIFICATES, 0o700),
    (paths.BACKUPS, 0o700),
    (paths.FAILURES, 0o700),
    (paths.RUN, 0o755),
    (paths.LOGS, 0o755),
)

# Wakes sleeping apps for the front, as whose user it is reached.
WAKER = "cloudtool-waker.socket"
CERTIFICATES_TIMER = "cloudtool-certificates.timer"
# Units that start with the node, and the targets that start them.
ENABLED = {
    "cloudtool-boot.service": "multi-user.target",
    "cloudtool-firewall.service": "sysinit.target",
    WAKER: "sockets.target",
    CERTIFICATES_TIMER: "timers.target",
}
ROOM_FOR_PACKAGES_MB = 600
ROOM_MB = 100
PENDING = f"{paths.VAR}/pending"


def setup(ctx, payload) -> dict:
    session.require_program(ctx.request)
    with lock.setup(ctx):
        return Setup(ctx).run()


class Setup:
    def __init__(self, ctx):
        self.ctx = ctx
        self.changed = []
        self.unchanged = 0
        self.user = str(ctx.request.get("user") or "root")
        self.key = ctx.request.get("key")
        self.sshd = []
        # Installed by this very run, and so started with all of its configuration in place.
        self.front_is_fresh = False

    def run(self) -> dict:
        with self.ctx.step("check"):
            missing = self.look_at_the_node()
        with self.ctx.step("files"):
            self.directories()
            self.units()
            self.files()
        with self.ctx.step("packages") as step:
            step.detail = self.packages(missing)
        with self.ctx.step("front"):
            self.front()
        with self.ctx.step("firewall"):
            self.sshd = sshd.read(self.ctx)
            firewall.ensure(self)
        with self.ctx.step("sshd"):
            sshd.ensure(self)
        with self.ctx.step("services"):
            self.start()
        return {"changed": self.changed, "unchanged": self.unchanged}

    # What every step uses

    def note(self, what: str, changed: bool) -> bool:
        """Counts one thing that was looked at; `what` is told when it had to be changed."""
        if changed:
            self.changed.append(what)
        else:
            self.unchanged += 1
        return changed

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> bool:
        return self.note(path, files.write(path, content, mode=mode, uid=0, gid=0, durable=True))

    def will(self, action: str) -> None:
        """Notes down an action that must follow the change that is about to be made."""
        os.makedirs(PENDING, mode=0o755, exist_ok=True)
        files.write(f"{PENDING}/{action}", "", mode=0o644)

    def must(self, action: str) -> bool:
        return os.path.exists(f"{PENDING}/{action}")

    def done(self, action: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{PENDING}/{action}")

    # The steps

    def look_at_the_node(self) -> list[str]:
        """Refuses what cannot work before anything is changed; gives back the packages that are missing."""
        if os.geteuid() != 0:
            raise Failure("setup", "Setting up a node needs root.", "Log in as root, or as a user that may use sudo.")
        newer = check_release(read_os_release())
        if newer:
            self.ctx.warning(newer)
        if not os.path.isdir("/run/systemd/system"):
            raise Failure("unsupported", "This server does not run systemd, which starts and confines the apps.")
        missing = packages.absent([*PACKAGES, *self.time_sync()])
        for place in ("/var", "/srv", "/usr"):
            free = os.statvfs(place)
            free_mb = free.f_bavail * free.f_frsize >> 20
            wanted = ROOM_FOR_PACKAGES_MB if missing else ROOM_MB
            if free_mb < wanted:
                raise Failure(
                    "disk",
                    f"The node has {free_mb} MB free on {place}, and setting it up needs {wanted} MB.",
                    "Free some space on the node: apt-get clean; journalctl --vacuum-size=50M; df -h",
                )
        if "haproxy" in missing:
            self.free_the_ports()
        return missing

    def time_sync(self) -> list[str]:
        """A container has its host's clock, which it could not set; a node with some other program has what it needs."""
        if os.path.exists("/run/systemd/container") or len(packages.absent(list(OTHER_TIME_SYNCS))) < len(
            OTHER_TIME_SYNCS
        ):
            return []
        return [TIME_SYNC]

    def free_the_ports(self) -> None:
        """A web server that is there already: the empty one that images bring is stopped, one with sites is not ours to stop."""
        if not {80, 443} & listening_ports():
            return
        apache = self.ctx.run(["systemctl", "is-active", "apache2.service"], check=False).stdout.strip() == "active"
        sites = set(os.listdir("/etc/apache2/sites-enabled")) if os.path.isdir("/etc/apache2/sites-enabled") else set()
        if not apache or sites - {"000-default.conf"}:
            raise Failure(
                "setup",
                "Another program serves port 80 or 443 of this node, which cloudtool's front needs.",
                "See which one it is with `ss -ltnp`, and disable it, for example: systemctl disable --now nginx",
            )
        self.ctx.run(["systemctl", "disable", "--now", "--quiet", "apache2.service"])
        self.note("apache2.service stopped (it had no site)", True)

    def directories(self) -> None:
        for path, mode in DIRECTORIES:
            self.note(path, files.make_directory(path, mode=mode))

    def units(self) -> None:
        """Units and drop-ins of server-files/systemd, and what enables them. Those that cloudtool no longer has go."""
        source = f"{paths.PROGRAM}/systemd"
        wanted = read_tree(source)
        self.mask_apache()
        # Names with something after the @ are instances, which belong to apps.
        present = [name for name in os.listdir(paths.UNITS) if re.fullmatch(r"cloudtool-[a-z-]+@?\.[a-z]+", name)]
        for name in sorted(present):
            path = f"{paths.UNITS}/{name}"
            if name not in wanted and os.path.isfile(path):
                self.will("daemon-reload")
                os.unlink(path)
                self.note(f"{path} removed", True)
        for name, content in sorted(wanted.items()):
            path = f"{paths.UNITS}/{name}"
            if files.read_bytes(path) != content:
                self.will("daemon-reload")
                if name.startswith("haproxy.service.d/"):
                    self.will("restart-front")
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            self.file(path, content)
        for unit, target in ENABLED.items():
            wants = f"{paths.UNITS}/{target}.wants"
            files.make_directory(wants)
            self.note(f"{unit} enabled", files.make_link(f"{wants}/{unit}", f"{paths.UNITS}/{unit}"))

    def mask_apache(self) -> None:
        """Before the package is there, so that its installation does not start a server on port 80."""
        path = f"{paths.UNITS}/apache2.service"
        if os.path.lexists(path) and not os.path.islink(path):
            raise Failure(
                "setup",
                f"{path} is a unit of your own; cloudtool runs an Apache for each app and masks that of the system.",
                f"If it is not needed: systemctl disable --now apache2; rm {path}",
            )
        if not os.path.islink(path) or os.readlink(path) != "/dev/null":
            self.will("daemon-reload")
        self.note("apache2.service masked", files.make_link(path, "/dev/null"))

    def files(self) -> None:
        self.own_certificate()
        self.file("/etc/apt/apt.conf.d/52cloudtool", read_own("setup/apt.conf"))
        for path in front.MAPS:
            if not os.path.exists(path):
                self.file(path, "")
        for name, content in sorted(read_tree(f"{paths.PROGRAM}/haproxy").items()):
            path = f"{paths.FRONT}/{name}"
            # The configuration itself replaces an old one only when HAProxy has found it good: see front().
            if name != "haproxy.cfg" or not os.path.exists(path):
                if files.read_bytes(path) != content:
                    self.will("reload-front")
                self.file(path, content)

    def own_certificate(self) -> None:
        """What the front shows for hosts that have no certificate. The front does not start without one."""
        if os.path.exists(paths.NODE_PEM):
            return
        if packages.absent(["openssl"]):
            packages.install(self.ctx, ["openssl"])
        subject = f"/CN={os.uname().nodename[:64]}"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += ["-days", "3650", "-subj", subject, "-keyout", "/dev/stdout", "-out", "/dev/stdout"]
        self.file(paths.NODE_PEM, self.ctx.run(words, code="setup").stdout, 0o600)
        if not os.path.exists(paths.CERTIFICATE_LIST):
            self.file(paths.CERTIFICATE_LIST, f"{paths.NODE_PEM}\n", 0o600)

    def packages(self, missing: list[str]) -> str | None:
        if not missing and not packages.interrupted():
            self.unchanged += 1
            return None
        if missing:
            packages.install(self.ctx, missing)
            self.note("packages " + ", ".join(missing), True)
            self.front_is_fresh = "haproxy" in missing
            return f"{len(missing)} installed"
        packages.wait_for_locks(self.ctx)
        packages.heal(self.ctx)
        self.note("an interrupted installation finished", True)
        return "mended"

    def front(self) -> None:
        path = f"{paths.FRONT}/haproxy.cfg"
        content = read_own("haproxy/haproxy.cfg")
        if files.read_bytes(path) != content:
            candidate = f"{path}.candidate"
            files.write(candidate, content, mode=0o644)
            result = self.ctx.run(["haproxy", "-c", "-q", "-f", candidate], check=False)
            os.unlink(candidate)
            if result.returncode:
                raise Failure(
                    "front",
                    "HAProxy does not accept cloudtool's configuration; the front goes on with the one it has.",
                    "This is a bug of cloudtool; please report it with these lines.",
                    details={"log": (result.stderr + result.stdout).splitlines()[-20:]},
                )
            self.will("reload-front")
        self.file(path, content)

    def start(self) -> None:
        """What has to run runs, with the configuration that is on disk; one question to systemd when all is well."""
        if self.must("daemon-reload"):
            self.ctx.run(["systemctl", "daemon-reload"], code="setup")
            self.done("daemon-reload")
        units = unit_states(
            self.ctx, ["haproxy.service", *ENABLED, sshd.UNIT, "apt-daily.timer", "apt-daily-upgrade.timer"]
        )
        firewall.load(self, units["cloudtool-firewall.service"]["ActiveState"] == "active")
        sshd.reload(self, units[sshd.UNIT]["ActiveState"] == "active")
        for unit in (WAKER, CERTIFICATES_TIMER):
            if self.note(f"{unit} started", units[unit]["ActiveState"] != "active"):
                self.ctx.run(["systemctl", "start", unit], code="setup")
        self.start_front(units["haproxy.service"])
        timers = [
            name for name in ("apt-daily.timer", "apt-daily-upgrade.timer") if units[name]["ActiveState"] != "active"
        ]
        if self.note("automatic updates switched on", bool(timers)):
            self.ctx.run(["systemctl", "enable", "--now", "--quiet", *timers], check=False)

    def start_front(self, unit) -> None:
        running = unit["ActiveState"] == "active"
        verb = None
        if not running or (self.must("restart-front") and not runs_our_configuration(unit["MainPID"])):
            verb = "restart"
        elif self.must("reload-front") and not self.front_is_fresh:
            verb = "reload"
        if unit["UnitFileState"] != "enabled":
            self.ctx.run(["systemctl", "enable", "--quiet", "haproxy.service"], code="front")
        if verb:
            result = self.ctx.run(["systemctl", verb, "haproxy.service"], check=False)
            if result.returncode:
                raise Failure(
                    "front",
                    f"HAProxy could not be started: {result.stderr.strip().splitlines()[0] if result.stderr.strip() else 'no reason given'}",
                    "Look at its log on the node: journalctl -u haproxy -n 50",
                    details={"log": front_log(self.ctx)},
                )
        self.note(f"haproxy.service {verb}ed", verb is not None)
        self.done("restart-front")
        self.done("reload-front")


def read_os_release() -> dict[str, str]:
    text = (files.read_bytes("/etc/os-release") or b"").decode("utf-8", "replace")
    fields = (line.partition("=") for line in text.splitlines())
    return {name: value.strip().strip("\"'") for name, equals, value in fields if equals}


def check_release(fields: dict[str, str]) -> str | None:
    """Refuses a system that cloudtool does not support; a warning for one that is newer than it was tried on."""
    name = fields.get("PRETTY_NAME") or fields.get("ID") or "an unknown system"
    supported = "Ubuntu 22.04 or newer, or Debian 12 or newer"
    oldest, newest = RELEASES.get(fields.get("ID", ""), (None, None))
    if oldest is None:
        raise Failure(
            "unsupported", f"This server runs {name}; cloudtool needs {supported}.", "Make a node with one of them."
        )
    try:
        major, _, minor = fields.get("VERSION_ID", "").partition(".")
        version = (int(major), int(minor or 0))
    except ValueError:
        raise Failure(
            "unsupported", f"{name} is not a release (it has no number); cloudtool needs {supported}."
        ) from None
    if version < oldest:
        raise Failure(
            "unsupported", f"{name} is too old; cloudtool needs {supported}.", "Make a node with one of them."
        )
    if version > newest:
        return f"{name} is newer than what this cloudtool was tried on; it may need a newer cloudtool."
    return None


def read_own(name: str) -> bytes:
    """A file of the node program."""
    content = files.read_bytes(f"{paths.PROGRAM}/{name}")
    if content is None:
        raise Failure(
            "program", f"{paths.PROGRAM}/{name} is missing.", "Install the node program again: cloudtool setup-node."
        )
    return content


def read_tree(root: str) -> dict[str, bytes]:
    """Content of every file below `root`, by its path relative to it."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = files.read_bytes(path)
    if not found:
        raise Failure("program", f"{root} is missing.", "Install the node program again: cloudtool setup-node.")
    return found


def listening_ports() -> set[int]:
    """TCP ports on which some program of the node listens, on whatever address."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (files.read_bytes(table) or b"").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def unit_states(ctx, names: list[str]) -> dict[str, dict[str, str]]:
    """ActiveState, UnitFileState and MainPID of each unit, in one call."""
    wanted = ("ActiveState", "UnitFileState", "MainPID")
    shown = ctx.run(["systemctl", "show", "--property", ",".join(wanted), *names], code="setup").stdout
    states = {}
    for name, block in zip(names, shown.split("\n\n")):
        states[name] = dict.fromkeys(wanted, "") | dict(
            line.split("=", 1) for line in block.splitlines() if "=" in line
        )
    return states


def runs_our_configuration(pid: str) -> bool:
    command = files.read_bytes(f"/proc/{pid}/cmdline") or b""
    return f"{paths.FRONT}/haproxy.cfg".encode() in command.split(b"\0")


def front_log(ctx) -> list[str]:
    shown = ctx.run(["journalctl", "--unit=haproxy", "--lines=20", "--no-pager", "--output=cat"], check=False)
    return shown.stdout.splitlines()
