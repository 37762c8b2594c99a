"""What the scripts of this folder have in common: the server, its administrator, and the app's names and rights on it."""

import array
import hashlib
import json
import os
import pathlib
import sys

import elsewhere
import remote
import resp

HOST, PORT = "127.0.0.1", 6379
THERE = elsewhere.place()
# In a server whose address app.ini says, all is done with the account of the address.
ADDRESSED = bool(THERE) and "url" in THERE
# Apps' users are `ct-APP`, so none of them can have this name.
ADMIN = "cloudtool"
ACL_FILE = pathlib.Path("/var/lib/redis/cloudtool.acl")

# What is taken from apps beside the categories `admin` and `dangerous`: what shows keys or channels of other apps (SCAN is not held to
# a user's keys, nor are the messages of client-side caching), and what all apps have one of (functions, the cache of scripts).
TAKEN = "scan randomkey dbsize pubsub function fcall fcall_ro script client memory acl cluster".split()
# What clients and libraries ask for by themselves, and what shows nothing of an app.
GIVEN = (
    "info client|getname client|setname client|setinfo client|id client|no-touch script|load script|exists memory|usage"
).split()


def fail(message):
    """Ends the script with one sentence for the person who deploys."""
    sys.exit(message)


def settings():
    with open(os.environ["CLOUDTOOL_SERVICE_SETTINGS"], encoding="utf-8") as file:
        return json.load(file)


def admin_password():
    return pathlib.Path(os.environ["CLOUDTOOL_SERVICE_NODE_SECRETS"], "password").read_text().strip()


def hashed(password):
    """How a password stands in the list of users: the server is never told, and never keeps, the password itself."""
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def connect(user, password):
    if THERE:
        return resp.Connection(THERE["host"], int(THERE["port"]), user, password, elsewhere.tls(THERE))
    return resp.Connection(HOST, PORT, user, password)


def administrator():
    """A connection that may do everything with what is the app's, here also with the server."""
    if THERE:
        try:
            return connect(*elsewhere.owner(THERE))
        except (resp.Unreachable, resp.Refused) as problem:
            fail(f"Redis at {THERE['host']}:{THERE['port']} does not let in who looks after the app's keys: {problem}")
    try:
        return resp.Connection(HOST, PORT, ADMIN, admin_password())
    except resp.Unreachable as problem:
        fail(f"{problem}; on the node: systemctl status redis-server")
    except resp.Refused as problem:
        fail(f"Redis on this node does not accept {ADMIN} as its administrator ({problem}): see {ACL_FILE}")


def version(server):
    """The server's version as it writes it, and as numbers."""
    info = server("INFO", "server").decode()
    text = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("redis_version:"))
    return text, tuple(int(part) for part in text.split(".")[:2])


class Share:
    """The app's part of the server."""

    def __init__(self):
        self.app = os.environ["CLOUDTOOL_APP"]
        self.user = (THERE or {}).get("user", f"ct-{self.app}")
        self.password = remote.password(THERE or {})
        self.prefix = f"{os.environ['CLOUDTOOL_SHARE']}:"
        # All shares of the app. No app has a dot in its name, so these are nobody else's.
        self.all_prefixes = [f"{self.app}:", f"{self.app}.*:"]

    def write(self, server):
        """Makes the user what it is to be, whatever it was before. Nobody is disconnected."""
        server("ACL", "SETUSER", self.user, *self.rules(server))
        # The line as the server would save it: in the file already, when nothing has changed.
        line = next(line for line in server("ACL", "LIST") if line.split()[1] == self.user.encode())
        if THERE or line not in ACL_FILE.read_bytes().splitlines():
            server("ACL", "SAVE")

    def rules(self, server):
        _, numbers = version(server)
        known = {name.decode() for name, *_ in server("COMMAND")}
        # A user of Redis takes several passwords: one for every login that there is.
        files = os.environ["CLOUDTOOL_SERVICE_PASSWORDS"].split()
        passwords = [hashed(pathlib.Path(file).read_text().strip()) for file in files]
        rules = ["reset", "on", *passwords, "+@all", "-@admin", "-@dangerous"]
        rules += [f"~{prefix}*" for prefix in self.all_prefixes]
        if numbers >= (6, 2):
            rules += [f"&{prefix}*" for prefix in self.all_prefixes]
        else:
            # Redis 6.0 knows no rights on channels: everybody would hear everything.
            rules.append("-@pubsub")
        rules += [f"-{name}" for name in TAKEN if name in known]
        rules += [f"+{name}" for name in GIVEN if knows(server, known, name)]
        return rules

    def connect(self):
        """As the app does."""
        return connect(self.user, self.password)


def knows(server, commands, name):
    """Does this version of the server know the command, or the sub-command `command|sub`?"""
    command, _, sub = name.partition("|")
    if command not in commands or not sub:
        return command in commands
    _, numbers = version(server)
    return numbers < (7, 0) or server("COMMAND", "INFO", name)[0] is not None


def keys(server, pattern):
    """The keys, in lists, each with whether it is seen for the first time: SCAN shows a key again when the table of keys grew."""
    seen = Seen()
    cursor = b"0"
    while True:
        cursor, found = server("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        yield [(key, seen.add(key)) for key in found]
        if cursor == b"0":
            return


class Seen:
    """A set of keys that takes 16 to 32 bytes for each, whatever their length: 64 bits of a hash in an open table."""

    def __init__(self):
        self.table = array.array("Q", bytes(8 * 1024))
        self.count = 0

    def add(self, key):
        """Whether it was not there."""
        if self.count * 2 >= len(self.table):
            old = self.table
            self.table = array.array("Q", bytes(8 * 2 * len(old)))
            for number in filter(None, old):
                self.table[self._place(number)] = number
        number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") or 1
        place = self._place(number)
        if self.table[place]:
            return False
        self.table[place] = number
        self.count += 1
        return True

    def _place(self, number):
        place = number % len(self.table)
        while self.table[place] not in (0, number):
            place = (place + 1) % len(self.table)
        return place


def lasting(server, names):
    """How many of these keys are there to stay. Those with an expiry come and go by themselves: nobody can count on them."""
    server.send(b"".join(resp.pack("PTTL", name) for name in names))
    return sum(server.answer() == -1 for _ in names)


def facts(server, count):
    return {"version": f"Redis {version(server)[0]}", "counts": {"keys": count}}


def destroy(server, pattern):
    for found in keys(server, pattern):
        if found:
            server("UNLINK", *(key for key, _ in found))
