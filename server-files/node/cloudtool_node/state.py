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


class State:
    # Requests are held back: its data are about to leave the node. Nowhere written, so that nothing can be left of it.
    held = False

    def __init__(self, fields: dict):
        # A state that an earlier version wrote has no shares.
        self.fields = {"shares": {}, "next_share": 2, "doomed": [], **fields}

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
    def moved_to(self) -> str | None:
        """The address of the node that the app has moved to: there it is served, and here its requests are sent on."""
        return self.fields.get("moved_to")

    @property
    def disabled(self) -> dict | None:
        """Who disabled the app (`by`), when (`at`), and the addresses that it serves all the same (`allow`)."""
        return self.fields.get("disabled")

    def share(self, service: str) -> int:
        """The number of the service's share that the app uses."""
        return self.fields["shares"].get(service, 1)

    @property
    def doomed(self) -> list[tuple[str, int]]:
        """The shares to destroy: those that are not yet or no longer in use."""
        return [(service, number) for service, number in self.fields["doomed"]]

    def doom_next(self, services: list[str]) -> dict[str, int]:
        """Numbers for new shares. They are doomed until the app uses them."""
        number = self.fields["next_share"]
        self.fields["next_share"] = number + 1
        self.fields["doomed"] += [[service, number] for service in services]
        return dict.fromkeys(services, number)

    def adopt(self, shares: dict[str, int]) -> None:
        """From now on the app uses these shares, and those it used are doomed."""
        gone = [[service, self.share(service)] for service in shares]
        self.fields["doomed"] = [item for item in self.fields["doomed"] if item not in list(map(list, shares.items()))]
        self.fields["doomed"] += gone
        self.fields["shares"] |= shares

    def forget_doomed(self, service: str, number: int) -> None:
        self.fields["doomed"].remove([service, number])

    def port(self, slot: str) -> int:
        return FIRST_PORT + 4 * self.fields["index"] + SLOTS.index(slot)

    def wake_port(self, slot: str) -> int:
        return self.port(slot) + 2

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
