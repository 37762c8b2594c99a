"""What the scripts of this folder share: the server they talk to, and the app's names on it.

The server is the node's own CouchDB, or the one that the settings name with `url`, `username` and `password`.
Only requests that CouchDB 3.x documents are made: https://docs.couchdb.org/en/stable/api/
"""

import base64
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

    def request(self, method, path, body=None, auth=None):
        """One request; answers (status, the JSON that came back)."""
        headers = {"Accept": "application/json"}
        if auth:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            if self.connection is None:
                kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[self.scheme]
                self.connection = kind(self.hostname, self.port, timeout=30)
            self.connection.request(method, self.path + path, body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.connection = None
            raise Unreachable(f"CouchDB at {self.scheme}://{self.host} does not answer: {problem}") from None
        try:
            return answer.status, json.loads(text or b"null")
        except ValueError:
            return answer.status, {"reason": text[:200].decode("utf-8", "replace")}

    def expect(self, wanted, method, path, body=None, auth=None):
        """A request as the administrator that must end with one of the statuses `wanted`."""
        status, answer = self.request(method, path, body, auth or self.admin)
        if status not in wanted:
            reason = answer.get("reason") if isinstance(answer, dict) else None
            fail(f"CouchDB answered {status} to {method} {path}: {reason or 'no reason given'}")
        return status, answer


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
    """The app's part of the server."""

    def __init__(self, values):
        app = os.environ["CLOUDTOOL_APP"]
        secrets = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"])
        self.database = values.get("prefix", "") + app
        # `ct-`: a user of `_users` with the name of a server administrator could never log in.
        self.user = "ct-" + self.database
        self.password = (secrets / "password").read_text().strip()
        self.marker = secrets / "database"
        self.auth = (self.user, self.password)
        self.database_path = "/" + urllib.parse.quote(self.database, safe="")
        self.user_path = "/_users/org.couchdb.user:" + urllib.parse.quote(self.user, safe="")
        only_the_app = {"names": [self.user], "roles": []}
        self.security = {"admins": only_the_app, "members": only_the_app}

    def works(self, couch):
        """Does the app's user get into its database, and does nobody else?"""
        status, security = couch.request("GET", self.database_path + "/_security", auth=self.auth)
        return status == 200 and security == self.security


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
