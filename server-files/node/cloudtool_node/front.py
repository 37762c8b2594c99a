"""The routes of the front: what they should be (from all apps' states), in the map files, and in the running HAProxy."""

import socket

from . import files, paths
from .context import Failure
from .state import load_all

MAPS = (paths.ROUTES_MAP, paths.WILDCARDS_MAP, paths.ALLOWED_MAP, paths.QUIET_MAP)
# The table of the last visits, and for how many seconds it has one (haproxy.cfg).
VISITS = "visits"
VISITS_KEPT = 25 * 3600
# HAProxy reads a command into one buffer of 16 KB.
MAX_COMMAND = 8000


def desired(states) -> dict[str, dict[str, str]]:
    """The maps: {file: {key: value}}. What somebody asked for by name wins over what follows from another location."""
    asked: dict[str, str] = {}
    implied: dict[str, str] = {}
    allowed: dict[str, str] = {}
    quiet: dict[str, str] = {}
    for state in sorted(states, key=lambda state: state.claimed):
        if state.live is None:
            continue
        if state.disabled:
            allowed |= {f"{state.app}/{address}": "1" for address in state.disabled["allow"]}
        quiet |= {f"{state.app}{path.rstrip('/')}/": "1" for path in state.entry(state.live).get("idle_ignore") or []}
        mark = "~" if state.asleep else ""
        live = _to(state, state.live, _target(state, f"{mark}{state.port(state.live_slot)}"))
        secured = state.certificate().get("hosts", []) if state.tls else []
        previous = state.previous and _to(state, state.previous, _target(state, f"{state.wake_port(state.idle_slot)}"))
        for location in state.locations:
            host, slash, path = location.partition("/")
            mount = slash + path
            asked[_key(location)] = live(mount) + _flags(state, covers(secured, host))
            if host.startswith("*."):
                continue
            # A path of a host takes part in the host's redirect, it does not make one.
            if not mount and not host.startswith("www."):
                implied[f"www.{host}/"] = f">{host}"
            if previous:
                implied[_key(f"prev.{location}")] = previous(mount)
    routes = {**implied, **asked}
    return {
        paths.ROUTES_MAP: {key: value for key, value in routes.items() if not key.startswith(".")},
        paths.WILDCARDS_MAP: {key: value for key, value in routes.items() if key.startswith(".")},
        paths.ALLOWED_MAP: allowed,
        paths.QUIET_MAP: quiet,
    }


def covers(names: list[str], host: str) -> bool:
    """Whether a certificate for these names is one for the host; a wildcard stands for one label."""
    return host in names or f"*.{host.partition('.')[2]}" in names


def _flags(state, has_certificate: bool) -> str:
    """What more the front does at a location: `s` it may sleep, `t` http is sent to https, `h` and browsers keep to that."""
    hsts = has_certificate and state.tls.get("hsts")
    may_sleep = state.idle_stop or state.asleep
    flags = "s" * bool(may_sleep) + "t" * has_certificate + "h" * bool(hsts)
    return (f"|{flags}" if flags else "") + (f"|{hsts}" if hsts else "")


def _key(location: str) -> str:
    return location.removeprefix("*") + "/"


def _target(state, port: str) -> str:
    """Where requests go: a port of this node, nowhere for the moment, or another node, which takes the path as it came."""
    if state.held:
        return "!"
    if state.moved_to:
        return f"@{state.moved_to}"
    return f"-{port}" if state.disabled else port


def _to(state, release: str, target: str):
    timeout = state.entry(release)["timeout"] * 1000

    def value(mount: str) -> str:
        if state.moved_to:
            return f"{target}|0||{timeout}|{state.app}"
        return f"{target}|{mount.count('/')}|{mount}|{timeout}|{state.app}"

    return value


def route(*changed) -> int:
    """Makes the front's routes with some states as they will be; gives how many of those that run it changed. The caller holds
    the node."""
    names = {state.app for state in changed}
    maps = desired([*changed, *(other for other in load_all() if other.app not in names)])
    write_files(maps)
    return apply(maps)


def write_files(maps: dict[str, dict[str, str]]) -> bool:
    """The map files, for the next start of the front; by rename. Says whether one changed."""
    changed = False
    for path, routes in maps.items():
        text = "".join(f"{key} {value}\n" for key, value in sorted(routes.items()))
        changed |= files.write(path, text, mode=0o644)
    return changed


def apply(maps: dict[str, dict[str, str]]) -> int:
    """Makes the running front route like `maps`; gives the number of entries it changed."""
    running = show()
    commands = []
    for path, entries in running.items():
        commands += deltas(path, entries, maps[path])
    batch = ""
    for command in commands:
        if len(batch) + len(command) > MAX_COMMAND:
            _changed(batch)
            batch = ""
        batch += ("; " if batch else "") + command
    if batch:
        _changed(batch)
    return len(commands)


def deltas(path: str, running: dict[str, str], routes: dict[str, str]) -> list[str]:
    """Commands from what is to what should be. Nothing is taken away before what takes its place is there."""
    commands = [f"set map {path} {key} {value}" for key, value in routes.items() if running.get(key, value) != value]
    commands += [f"add map {path} {key} {value}" for key, value in routes.items() if key not in running]
    commands += [f"del map {path} {key}" for key in running if key not in routes]
    return commands


def show() -> dict[str, dict[str, str]]:
    """The running maps. A front that runs with the configuration of an earlier version has fewer."""
    maps: dict[str, dict[str, str]] = {}
    for path in MAPS:
        said = _ask(f"show map {path}")
        if said.startswith("Unknown map"):
            continue
        maps[path] = {}
        for line in said.splitlines():
            words = line.split(" ", 2)
            if len(words) == 3:
                maps[path][words[1]] = words[2]
            elif line.strip():
                raise _unusable(line)
    return maps


def set_certificate(listed: str, path: str, pem: str) -> dict[str, str]:
    """Has a certificate, key and chain, shown from now on; gives what HAProxy says of it."""
    if path not in _ask("show ssl cert").split():
        _expect(f"new ssl cert {path}", "New empty certificate")
    _expect(f"set ssl cert {path} <<\n{pem}", "Transaction")
    _expect(f"commit ssl cert {path}", "Success!")
    if path not in _ask(f"show ssl crt-list {listed}").split():
        _expect(f"add ssl crt-list {listed} {path}", "Success!")
    lines = _ask(f"show ssl cert {path}").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def remove_certificate(listed: str, path: str) -> None:
    if path in _ask(f"show ssl crt-list {listed}").split():
        _expect(f"del ssl crt-list {listed} {path}", "deleted")
    if path in _ask("show ssl cert").split():
        _expect(f"del ssl cert {path}", "deleted")


def _expect(command: str, word: str) -> None:
    said = _ask(command).strip()
    if word not in said:
        raise Failure(
            "front", f"The front of the node did not take a certificate: {said}.", "See: journalctl -u haproxy"
        )


def visits() -> dict[str, tuple[float, bool]]:
    """Of apps that may sleep: how many seconds ago somebody asked for one, and whether a request is running."""
    return visits_in(_ask(f"show table {VISITS}"))


def visits_in(table: str) -> dict[str, tuple[float, bool]]:
    found = {}
    for line in table.splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "key" in fields:
            found[fields["key"]] = (VISITS_KEPT - int(fields["exp"]) / 1000, fields["use"] != "0")
    return found


def uptime() -> float:
    """For how many seconds the front has been counting visits."""
    lines = dict(line.split(": ", 1) for line in _ask("show info").splitlines() if ": " in line)
    return float(lines.get("Uptime_sec", "0"))


def require(path: str) -> None:
    """The running front has this map, as this version's configuration has."""
    if _ask(f"show map {path}").startswith("Unknown map"):
        raise Failure("front", "The front of the node runs with an earlier configuration.", "Run cloudtool setup-node.")


def _changed(commands: str) -> None:
    said = _ask(commands).strip()
    if said:
        raise _unusable(said)


def _ask(command: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(paths.FRONT_SOCKET)
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while data := connection.recv(65536):
                answer += data
    except OSError as error:
        raise _unusable(str(error)) from error
    return answer.decode("utf-8", "replace")


def _unusable(why: str) -> Failure:
    return Failure(
        "front",
        f"The front (HAProxy) of the node did not take the routes: {why}.",
        "Is it running? cloudtool setup-node brings it back.",
    )
