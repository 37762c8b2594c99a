"""A CouchDB database by its HTTP API: documents in, documents out."""

import base64
import json
import os
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen


class NotFound(Exception):
    """There is no such document (any more)."""


class Conflict(Exception):
    """Somebody else changed the document since the revision that the caller has seen."""


class Database:
    def __init__(self, url: str, name: str, user: str, password: str):
        """`url` is the server's; what it says of user and database is not used."""
        parts = urlsplit(url)
        path = parts.path.rstrip("/").removesuffix(f"/{name}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}/{quote(name, safe='')}"
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}

    @classmethod
    def from_environment(cls) -> "Database":
        return cls(*(os.environ[f"CONFIG_COUCHDB_{key}"] for key in ("URL", "DB", "USER", "PASSWORD")))

    def call(self, method: str, path: str, document: dict | None = None, **query: str) -> dict:
        address = f"{self.url}/{path}" + (f"?{urlencode(query)}" if query else "")
        body = None if document is None else json.dumps(document).encode()
        try:
            with urlopen(Request(address, body, self.headers, method=method), timeout=10) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code == 404:
                raise NotFound from None
            if error.code == 409:
                raise Conflict from None
            raise

    def info(self) -> dict:
        return self.call("GET", "")

    def all(self, limit: int = 200) -> list[dict]:
        rows = self.call("GET", "_all_docs", include_docs="true", limit=str(limit))["rows"]
        return [row["doc"] for row in rows if not row["id"].startswith("_design/")]

    def get(self, key: str) -> dict:
        return self.call("GET", quote(key, safe=""))

    def put(self, key: str, document: dict) -> None:
        """A new document has no `_rev`; a changed one has the `_rev` that the change was made from, or it is a Conflict."""
        self.call("PUT", quote(key, safe=""), document)

    def delete(self, key: str, rev: str) -> None:
        self.call("DELETE", quote(key, safe=""), rev=rev)
