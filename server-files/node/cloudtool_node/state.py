"""The state of an app: one JSON file, the only truth about its releases, slots and locations.

`live` says which slot serves; `slots` which release each slot is for: the one that is not live holds the previous
release. What HAProxy and systemd do follows from this and can always be made again from it (recover.py).
"""

import json
import os
import time

from . import files, paths
from .times import now

SLOTS = ("blue", "green")
FIRST_PORT = 20000
HISTORY = 50


class Uses:
    """By number, which share of a service an app uses and with which login: see "Shares" and "Logins" in
    docs/architecture.md. A service that is not there is at 1."""

    # No dataclass: importing that takes longer than all the rest of a probe.
    def __init__(self, shares: dict[str, int] | None = None, logins: dict[str, int] | None = None):
        self.shares = shares or {}
        self.logins = logins or {}

    def __eq__(self, other) -> bool:
        return isinstance(other, Uses) and vars(self) == vars(other)

    def share(self, service: str) -> int:
        return self.shares.get(service, 1)

    def login(self, service: str) -> int:
        return self.logins.get(service, 1)

    def changed_by(self, other: "Uses") -> "Uses":
        return Uses(self.shares | other.shares, self.logins | other.logins)


class State:
    # Requests are held back: its data are about to leave the node. Nowhere written, so that nothing can be left of it.
    held = False
    # Awake as soon as it is routed so, whatever is still written.
    awake = False

    def __init__(self, fields: dict):
        # A state that an earlier version wrote has no shares or no logins.
        new = {"shares": {}, "next_share": 2, "doomed": [], "logins": {}, "next_login": 2, "doomed_logins": []}
        self.fields = {**new, **fields}

    @property
    def app(self) -> str:
        return self.fields["app"]

    @property
    def live_slot(self) -> str | None:
        return self.fields["live"]

    @property
    def idle_slot(self) -> str:
        return "green" if self.live_slot == "blue" else "blue"

    @property
    def live(self) -> str | None:
        """The release that serves."""
        return self.fields["slots"][self.live_slot] if self.live_slot else None

    @property
    def previous(self) -> str | None:
        return self.fields["slots"][self.idle_slot] if self.live_slot else None

    @property
    def locations(self) -> list[str]:
        return self.fields["locations"]

    @property
    def releases(self) -> list[dict]:
        """Oldest first."""
        return self.fields["releases"]

    @property
    def kept(self) -> list[str]:
        """The releases whose files are here, oldest first."""
        return [entry["release"] for entry in self.releases if entry["result"] == "kept"]

    def entry(self, release: str) -> dict | None:
        return next((entry for entry in self.releases if entry["release"] == release), None)

    def result(self, entry: dict) -> str:
        """What the world calls a release: live, previous, kept, failed or pruned."""
        if entry["result"] != "kept":
            return entry["result"]
        return {self.live: "live", self.previous: "previous"}.get(entry["release"], "kept")

    def next_release(self) -> str:
        return f"v{self.fields['next']}"

    def record(self, entry: dict) -> None:
        """A new release, or one that failed; its number is never used again."""
        gone = [known for known in self.releases if known["result"] != "kept"]
        forgotten = gone[: max(0, len(self.releases) + 1 - HISTORY)]
        self.fields["releases"] = [known for known in self.releases if known not in forgotten] + [entry]
        self.fields["next"] = int(entry["release"][1:]) + 1

    def switch(self, slot: str, release: str, by: str, locations: list[str]) -> None:
        self.fields["live"] = slot
        self.fields["slots"][slot] = release
        self.fields["since"] = now()
        self.fields["by"] = by
        self.set_locations(locations)

    @property
    def claimed(self) -> int:
        """When the app last asked for a location; of two apps that have the same one, the newer claim counts."""
        return self.fields["claimed"]

    def set_locations(self, locations: list[str], claim: bool = True) -> None:
        if claim and locations != self.locations:
            self.fields["claimed"] = time.time_ns()
        self.fields["locations"] = locations

    @property
    def at_work(self) -> bool:
        """Whether its processes run on this node: an app on its way here may still be at work elsewhere."""
        return bool(self.live) and self.owns_elsewhere and not self.held

    @property
    def moved_to(self) -> str | None:
        """The address of the node that the app has moved to: there it is served, and here its requests are sent on."""
        return self.fields.get("moved_to")

    @property
    def disabled(self) -> dict | None:
        """Who disabled the app (`by`), when (`at`), and the addresses that it serves all the same (`allow`)."""
        return self.fields.get("disabled")

    @property
    def idle_stop(self) -> int | None:
        """After how many seconds without a visitor the app sleeps."""
        return (self.entry(self.live) or {}).get("idle_stop") if self.live and not self.moved_to else None

    @property
    def asleep(self) -> bool:
        """The live slot is stopped, and the front has it woken for whoever asks: see sleeping.py."""
        return not self.awake and os.path.exists(paths.asleep(self.app))

    @property
    def tls(self) -> dict | None:
        """What the live release wants for a certificate."""
        return (self.entry(self.live) or {}).get("tls") if self.live and not self.moved_to else None

    def certificate(self) -> dict:
        """What certificates.py has written down: the `hosts` that have one, when it `ends`, what stands against it."""
        return json.loads(files.read(paths.certificate_record(self.app)) or "{}")

    @property
    def uses(self) -> Uses:
        return Uses(self.fields["shares"], self.fields["logins"])

    @property
    def doomed(self) -> list[tuple[str, int]]:
        """The shares to destroy: those that are not yet or no longer in use."""
        return [(service, number) for service, number in self.fields["doomed"]]

    @property
    def doomed_logins(self) -> list[tuple[str, int]]:
        """The logins to end."""
        return [(service, number) for service, number in self.fields["doomed_logins"]]

    def doom_next(self, shares: list[str], logins: list[str]) -> Uses:
        """Numbers for new shares and logins of services. They are doomed until the app uses them."""
        return Uses(self._doom(shares, "next_share", "doomed"), self._doom(logins, "next_login", "doomed_logins"))

    def _doom(self, services: list[str], counter: str, doomed: str) -> dict[str, int]:
        if not services:
            return {}
        number = self.fields[counter]
        self.fields[counter] = number + 1
        self.fields[doomed] += [[service, number] for service in services]
        return dict.fromkeys(services, number)

    def take_up(self, service: str, share: int, login: int = 1) -> None:
        """A share and a login that were there before the app was: no later ones have their numbers."""
        self.fields["shares"][service], self.fields["logins"][service] = share, login
        self.fields["next_share"] = max(self.fields["next_share"], share + 1)
        self.fields["next_login"] = max(self.fields["next_login"], login + 1)

    @property
    def owns_elsewhere(self) -> bool:
        """Whether what it has on other servers is this node's to change and to destroy. While an app moves that is the node it
        leaves, and then the node it has come to: nobody is in between, whoever is killed."""
        return not (self.moved_to or self.fields.get("arriving"))

    def adopt(self, new: Uses) -> None:
        """From now on the app uses these, and what it used before is doomed."""
        before = self.uses
        for doomed, adopted, used in (
            ("doomed", new.shares, before.share),
            ("doomed_logins", new.logins, before.login),
        ):
            gone = [[service, used(service)] for service in adopted]
            self.fields[doomed] = [item for item in self.fields[doomed] if item not in map(list, adopted.items())]
            self.fields[doomed] += gone
        after = before.changed_by(new)
        self.fields["shares"], self.fields["logins"] = after.shares, after.logins

    def forget_doomed(self, service: str, number: int) -> None:
        self.fields["doomed"].remove([service, number])

    def forget_doomed_login(self, service: str, number: int) -> None:
        self.fields["doomed_logins"].remove([service, number])

    def port(self, slot: str) -> int:
        return FIRST_PORT + 4 * self.fields["index"] + SLOTS.index(slot)

    def wake_port(self, slot: str) -> int:
        return self.port(slot) + 2

    def hosts(self) -> list[str]:
        """Those of its locations, each once, with the star of a wildcard."""
        return list(dict.fromkeys(location.partition("/")[0] for location in self.locations))

    def canonical_host(self) -> str:
        """The host an app calls itself by: its first location's, without the star of a wildcard."""
        return self.locations[0].partition("/")[0].removeprefix("*.") if self.locations else "localhost"

    def mount(self) -> str:
        _, slash, path = (self.locations[0] if self.locations else "").partition("/")
        return slash + path

    def copy(self) -> "State":
        return State(json.loads(json.dumps(self.fields)))

    def save(self) -> None:
        files.write(paths.state(self.app), json.dumps(self.fields, indent=1) + "\n", durable=True)


def load(app: str) -> State | None:
    text = files.read(paths.state(app))
    return None if text is None else State(json.loads(text))


_seen: dict[str, tuple] = {}


def load_all() -> list[State]:
    """The states of all apps, to be looked at only. A deploy looks several times, at hundreds of apps: files that have
    not changed since are not read again."""
    names = [name.removesuffix(".json") for name in files.names(paths.STATES) if name.endswith(".json")]
    return [state for state in map(_look_at, names) if state is not None]


def _look_at(app: str) -> State | None:
    try:
        found = os.stat(paths.state(app))
    except FileNotFoundError:
        return None
    # A state is always replaced by another file.
    version = (found.st_ino, found.st_mtime_ns, found.st_size)
    if app not in _seen or _seen[app][0] != version:
        _seen[app] = (version, load(app))
    return _seen[app][1]


def create(app: str) -> State:
    """A state for a new app with the smallest free index. The caller holds the node's lock."""
    taken = {state.fields["index"] for state in load_all()}
    index = next(number for number in range(len(taken) + 1) if number not in taken)
    state = State(
        {
            "app": app,
            "index": index,
            "next": 1,
            "live": None,
            "slots": {"blue": None, "green": None},
            "since": None,
            "by": None,
            "locations": [],
            "claimed": 0,
            "releases": [],
        }
    )
    state.save()
    return state
