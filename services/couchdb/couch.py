"""What the scripts of this folder share: the server they talk to, and the app's names on it.

The server is the node's own CouchDB, or the one that the settings name with `url`, `username` and `password`.
Only requests that CouchDB 3.x documents are made: https://docs.couchdb.org/en/stable/api/
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import sys
import urllib.parse

LOCAL = "http://127.0.0.1:5984"
LOCAL_ADMIN = "admin"  # the name is fixed by CouchDB's Debian package


def fail(message):
    """Ends the script with one sentence for the person who deploys."""
    sys.exit(message)


class Server:
    def __init__(self, url, admin, password):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            fail(f"url = {url} in [service:couchdb] is not an address like https://couch.example.com:6984")
        if parts.username or parts.password:
            fail("url in [service:couchdb] has a user name in it: put it into username and password")
        self.scheme = parts.scheme
        self.hostname = parts.hostname
        self.port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        self.path = parts.path.rstrip("/")
        self.admin = (admin, password)
        self.connection = None

    @property
    def host(self):
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{name}:{self.port}"

    def connect(self):
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[self.scheme]
        return kind(self.hostname, self.port, timeout=60)

    def unreachable(self, problem):
        return Unreachable(f"CouchDB at {self.scheme}://{self.host} does not answer: {problem}")

    def request(self, method, path, body=None, auth=None, length=None):
        """One request; answers (status, the JSON that came back). `body` is something to be sent as JSON or, with its
        `length`, an iterable of pieces of it."""
        headers = {"Accept": "application/json", **login(auth)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if length is None:
            body = json.dumps(body) if body is not None else None
        else:
            headers["Content-Length"] = str(length)
        try:
            if self.connection is None:
                self.connection = self.connect()
            self.connection.request(method, self.path + path, body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.connection = None
            raise self.unreachable(problem) from None
        try:
            return answer.status, json.loads(text or b"null")
        except ValueError:
            return answer.status, {"reason": text[:200].decode("utf-8", "replace")}

    @contextlib.contextmanager
    def reading(self, path, auth):
        """An answer that is read piece by piece, over a connection of its own."""
        connection = self.connect()
        try:
            connection.request("GET", self.path + path, None, {"Accept": "application/json", **login(auth)})
            answer = connection.getresponse()
            if answer.status != 200:
                fail(f"CouchDB answered {answer.status} to GET {path}")
            yield answer
        except (OSError, http.client.HTTPException) as problem:
            raise self.unreachable(problem) from None
        finally:
            connection.close()

    def expect(self, wanted, method, path, body=None, auth=None):
        """A request as the administrator that must end with one of the statuses `wanted`."""
        status, answer = self.request(method, path, body, auth or self.admin)
        if status not in wanted:
            reason = answer.get("reason") if isinstance(answer, dict) else None
            fail(f"CouchDB answered {status} to {method} {path}: {reason or 'no reason given'}")
        return status, answer


def login(auth):
    """The header that says who asks."""
    return {"Authorization": "Basic " + base64.b64encode(":".join(auth).encode()).decode()} if auth else {}


class Unreachable(Exception):
    """Nobody answers at the server's address."""


def settings():
    with open(os.environ["CLOUDTOOL_SERVICE_SETTINGS"], encoding="utf-8") as file:
        return json.load(file)


def local_password_file():
    return pathlib.Path(os.environ["CLOUDTOOL_SERVICE_NODE_SECRETS"], "password")


def server(values):
    if values.get("url"):
        if not values.get("username") or not values.get("password"):
            fail("[service:couchdb] has a url, but not both username and password of an administrator")
        return Server(values["url"], values["username"], values["password"])
    return Server(LOCAL, LOCAL_ADMIN, local_password_file().read_text().strip())


class Share:
    """The app's part of the server: a database for every share, and one user."""

    def __init__(self, values, server):
        app = os.environ["CLOUDTOOL_APP"]
        secrets = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"])
        prefix = values.get("prefix", "")
        # CouchDB has no dots in names of databases, and apps no dollars.
        self.database = prefix + os.environ["CLOUDTOOL_SHARE"].replace(".", "$")
        # `ct-`: a user of `_users` with the name of a server administrator could never log in.
        self.user = f"ct-{prefix}{app}"
        self.password = (secrets / "password").read_text().strip()
        self.auth = (self.user, self.password)
        self.database_path = path_of(self.database)
        self.user_path = "/_users/org.couchdb.user:" + urllib.parse.quote(self.user, safe="")
        only_the_app = {"names": [self.user], "roles": []}
        self.security = {"admins": only_the_app, "members": only_the_app}
        self.marker = secrets / "database"
        self.host = server.host

    def made(self):
        """The app's databases on this server, as far as this node made them."""
        lines = self.marker.read_text().splitlines() if self.marker.exists() else []
        return [line.partition("/")[2] for line in lines if line.partition("/")[0] == self.host]

    def note(self, databases):
        """Writes down which databases of this server are the app's."""
        lines = self.marker.read_text().splitlines() if self.marker.exists() else []
        lines = [line for line in lines if line.partition("/")[0] != self.host]
        lines += [f"{self.host}/{database}" for database in databases]
        new = self.marker.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        os.replace(new, self.marker)

    def works(self, couch):
        """Does the app's user get into its database, and rule it? (A database without members would be everybody's.)"""
        status, security = couch.request("GET", self.database_path + "/_security", auth=self.auth)
        return status == 200 and all(
            self.user in security.get(kind, {}).get("names", []) for kind in ("admins", "members")
        )


def version(server):
    _, welcome = server.expect([200], "GET", "/")
    name = "CouchDB" if "couchdb" in welcome else (welcome.get("vendor") or {}).get("name")
    return f"{name} {welcome.get('version')}"


def path_of(database):
    return "/" + urllib.parse.quote(database, safe="")


def _roles(server, auth=None):
    """The roles of a login (of nobody without one); None when the server does not accept it."""
    status, session = server.request("GET", "/_session", auth=auth)
    if status == 401:
        return None
    if status != 200 or not isinstance(session, dict) or "userCtx" not in session:
        fail(f"the server at {server.scheme}://{server.host} does not answer as a CouchDB does (status {status})")
    return session["userCtx"].get("roles", [])


def refuse_admin_party(server):
    """A server without an administrator makes everybody one: there would be no border between apps."""
    if "_admin" in (_roles(server) or []):
        fail(
            f"CouchDB at {server.host} has no administrator, so everybody is one: put one under [admins] of its local.ini"
        )


def refuse_wrong_administrator(server):
    if "_admin" not in (_roles(server, server.admin) or []):
        fail(
            f"CouchDB at {server.host} does not accept {server.admin[0]} as its administrator: "
            "put url, username and password of one into [service:couchdb]"
        )
