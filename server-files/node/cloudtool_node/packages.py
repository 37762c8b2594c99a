"""Debian packages: which are there, and one `apt-get install` for those that are not.

An update calls this every time, so the usual answer, "all there", reads one file and starts no process.
"""

import fcntl
import os
import re
import struct
import time

from . import files, paths
from .context import Failure

STATUS = "/var/lib/dpkg/status"
JOURNAL = "/var/lib/dpkg/updates"
LISTS = "/var/lib/apt/lists"
LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    f"{LISTS}/lock",
    "/var/cache/apt/archives/lock",
)
# When apt's lists were last read anew. Their own times are the server's.
UPDATED = f"{paths.VAR}/apt-updated"
FRESH_SECONDS = 3600
# A fresh cloud image runs its own upgrades for minutes after the first boot.
LOCK_SECONDS = 900

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
APT = (
    "apt-get",
    "--quiet",
    "--yes",
    "-o", "DPkg::Lock::Timeout=300",
    "-o", "Dpkg::Use-Pty=0",
    "-o", "Dpkg::Options::=--force-confdef",
    "-o", "Dpkg::Options::=--force-confold",
    "-o", "APT::Keep-Downloaded-Packages=false",
    "-o", "Acquire::Retries=3",
)  # fmt: skip

_cache = (None, {}, frozenset())


def ensure(ctx, names: list[str]) -> list[str]:
    """Installs the packages of `names` that are not there; gives back which those were."""
    bad = [name for name in names if not NAME.fullmatch(name)]
    if bad:
        raise Failure(
            "packages",
            f"{bad[0]!r} is not the name of a Debian package.",
            "Names have lower-case letters, digits, '+', '-' and '.'; one a line under packages in app.ini.",
        )
    missing = absent(names)
    if missing:
        install(ctx, missing)
    return missing


def absent(names: list[str]) -> list[str]:
    """Those of `names` that are not installed, each once, in the order given. A name that an installed package provides is there."""
    states, provided = _read_status()
    return [name for name in dict.fromkeys(names) if states.get(name) != "installed" and name not in provided]


def install(ctx, names: list[str]) -> None:
    """`apt-get install`, on a package system that earlier kills may have left half way."""
    wait_for_locks(ctx)
    heal(ctx)
    updated = False
    if not _lists_are_fresh():
        update(ctx)
        updated = True
    unknown = _unknown(ctx, names)
    if unknown and not updated:
        update(ctx)
        updated = True
        unknown = _unknown(ctx, names)
    if unknown:
        raise Failure(
            "packages",
            f"apt knows no package {unknown[0]}."
            if len(unknown) == 1
            else f"apt knows no packages {', '.join(unknown)}.",
            f"Look for the right name on the node: apt search {unknown[0]}",
            details={"packages": unknown},
        )
    # --no-remove: what one app asks for must not take away what another one, or the node, stands on.
    argv = [*APT, "--no-install-recommends", "--no-remove", "install", *names]
    result = _apt(ctx, argv)
    if result.returncode and not updated and "Failed to fetch" in result.stdout + result.stderr:
        update(ctx)
        result = _apt(ctx, argv)
    left = absent(names)
    if result.returncode or left:
        raise _install_failed(result, left or names)


def update(ctx) -> None:
    """Reads apt's lists anew."""
    result = _apt(ctx, [*APT, "update"])
    if result.returncode:
        raise Failure(
            "packages",
            f"apt-get update failed: {_first_error(result)}",
            "Look at the node's network and at /etc/apt/sources.list; then run the command again.",
            details={"log": _errors(result)},
        )
    os.makedirs(paths.VAR, mode=0o700, exist_ok=True)
    files.write(UPDATED, f"{time.time():.0f}\n", mode=0o644)


def heal(ctx) -> None:
    """Finishes what a killed dpkg has begun."""
    if not interrupted():
        return
    ctx.log("apt", "an earlier installation was interrupted: finishing it with dpkg --configure -a")
    environment = apt_environment()
    ctx.run(
        ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"], env=environment, check=False, log="apt"
    )
    if interrupted():
        _apt(ctx, [*APT, "--fix-broken", "--no-install-recommends", "install"])


def interrupted() -> bool:
    states, _ = _read_status()
    return bool(os.listdir(JOURNAL)) or any(state in _HALF_WAY for state in states.values())


def wait_for_locks(ctx) -> None:
    """Waits until no other program (a cloud image's first upgrade, an admin) works with packages."""
    deadline = time.monotonic() + LOCK_SECONDS
    told = None
    while holder := _lock_holder():
        if holder != told:
            ctx.log("apt", f"waiting for {holder}, which holds the lock of the package system")
            told = holder
        if time.monotonic() > deadline:
            raise Failure(
                "packages",
                f"{holder} has held the lock of the package system for {LOCK_SECONDS // 60} minutes.",
                "Look at what it does (ps -ef on the node), end it, and run the command again.",
            )
        ctx.check_aborted()
        time.sleep(0.5)


def apt_environment() -> dict[str, str]:
    """What keeps apt, debconf and needrestart from asking: there is nobody to answer."""
    return {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        "NEEDRESTART_MODE": "l",
        "NEEDRESTART_SUSPEND": "1",
        "APT_LISTCHANGES_FRONTEND": "none",
        "LC_ALL": "C.UTF-8",
    }


_HALF_WAY = frozenset(("unpacked", "half-installed", "half-configured", "triggers-awaited", "triggers-pending"))


def _read_status():
    """(state by package, names that installed packages provide); read again only when dpkg has written it."""
    global _cache
    try:
        stat = os.stat(STATUS)
    except FileNotFoundError:
        raise Failure("unsupported", "This node has no dpkg: it is not Ubuntu or Debian.") from None
    key = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if key != _cache[0]:
        with open(STATUS, encoding="utf-8", errors="replace") as file:
            _cache = (key, *parse_status(file.read()))
    return _cache[1], _cache[2]


def parse_status(text: str) -> tuple[dict[str, str], frozenset[str]]:
    """The state of each package of a dpkg status file, and the names that the installed ones provide.

    Of a package that is there for several architectures the most installed one counts.
    """
    states = {}
    provided = set()
    for stanza in text.split("\n\n"):
        package = _PACKAGE.search(stanza)
        status = _STATE.search(stanza)
        if not package or not status:
            continue
        name, state = package[1], status[1]
        if states.get(name) != "installed":
            states[name] = state
        if state == "installed" and (provides := _PROVIDES.search(stanza)):
            provided.update(item.split()[0].partition(":")[0] for item in provides[1].split(",") if item.strip())
    return states, frozenset(provided)


_PACKAGE = re.compile(r"^Package: (\S+)$", re.MULTILINE)
_STATE = re.compile(r"^Status: \S+ \S+ (\S+)$", re.MULTILINE)
_PROVIDES = re.compile(r"^Provides: (.+)$", re.MULTILINE)


def _lists_are_fresh() -> bool:
    try:
        age = time.time() - os.stat(UPDATED).st_mtime
    except FileNotFoundError:
        return False
    return 0 <= age < FRESH_SECONDS and any(name.endswith("Release") for name in os.listdir(LISTS))


def _unknown(ctx, names):
    """Names that apt does not know exactly. Given to `apt-get install` they could be read as a pattern or, with a '-' at the end, as a removal."""
    known = ctx.run(["apt-cache", "policy", "--", *names], env=apt_environment(), code="packages").stdout
    found = {line[:-1] for line in known.splitlines() if line.endswith(":") and not line.startswith(" ")}
    return [name for name in names if name not in found]


def _apt(ctx, argv):
    """Runs apt-get, again when somebody else was quicker to take a lock."""
    while True:
        wait_for_locks(ctx)
        result = ctx.run(argv, env=apt_environment(), check=False, log="apt")
        if result.returncode == 0 or "Could not get lock" not in result.stderr:
            return result
        time.sleep(0.5)


def _lock_holder() -> str | None:
    """The program that holds one of the locks of dpkg and apt, in words."""
    for path in LOCKS:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            # struct flock of 64-bit Linux: type, whence, start, length, pid.
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, asked))
        finally:
            os.close(fd)
        if kind != fcntl.F_UNLCK:
            name = (files.read_bytes(f"/proc/{pid}/comm") or b"another program").decode("utf-8", "replace").strip()
            return f"{name} (process {pid})"
    return None


def _errors(result):
    lines = [
        line for line in (result.stderr + "\n" + result.stdout).splitlines() if line.startswith(("E:", "Err:", "dpkg:"))
    ]
    return lines[-10:] or (result.stderr or result.stdout).splitlines()[-10:]


def _first_error(result) -> str:
    lines = _errors(result)
    return lines[0].removeprefix("E: ") if lines else f"exit status {result.returncode}."


def _install_failed(result, names):
    text = result.stdout + result.stderr
    hint = "Run it on the node to see all of it: apt-get install " + " ".join(names)
    if "enough free space" in text or "No space left on device" in text:
        hint = "Make room on the node (df -h; apt-get clean; cloudtool clean-node) and run the command again."
    elif "Packages need to be removed but remove is disabled" in text:
        hint = (
            "It conflicts with packages that are installed; cloudtool removes none. Look with: apt-get install -s "
            + " ".join(names)
        )
    elif "Failed to fetch" in text:
        hint = "Look at the node's network and at /etc/apt/sources.list; then run the command again."
    return Failure(
        "packages",
        f"apt-get install {' '.join(names)} failed: {_first_error(result)}",
        hint,
        details={"log": _errors(result), "packages": list(names)},
    )
