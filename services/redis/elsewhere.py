"""A share in a server that is not on this node: how it is reached, and by whom.

On another node each app has a server of its own, for Redis shows who may look for keys the names of all that it has. Its owner,
who looks after the app's keys and its user there, is nobody to any other app.
"""

import ssl

import remote

OWNER = "cloudtool.owner"


def place():
    """None when the share is here."""
    there = remote.place()
    return addressed(there) if there and "url" in there else there


def addressed(there):
    """The parts of an address: redis:// as it is, rediss:// by TLS, to who shows a certificate that the system or the one named
    by it (`ssl_ca_certs`) speaks for."""
    parts = remote.addressed(there, "a Redis server", ("redis", "rediss"), 6379)
    certificate = parts["certificate"] or "/etc/ssl/certs/ca-certificates.crt"
    return {**parts, "certificate": certificate if parts["scheme"] == "rediss" else None}


def tls(there):
    return ssl.create_default_context(cafile=there["certificate"]) if there["certificate"] else None


def owner(there):
    """Who looks after the app's keys, and with which password."""
    return (there["user"], there["password"]) if "url" in there else (OWNER, remote.secret("owner"))
