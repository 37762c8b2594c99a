"""A server that is not on this node, as the scripts of all services see it: where it is, and who the app is there."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.parse


def place():
    """What the service's `lend` has told, or the address that app.ini says; None when the share is here."""
    path = os.environ.get("CLOUDTOOL_SERVICE_ELSEWHERE")
    return json.loads(pathlib.Path(path).read_text()) if path else None


def addressed(there, what, schemes, port):
    """The parts of an address, whose account does all that is done there."""
    parts = urllib.parse.urlsplit(there["url"])
    if parts.scheme not in schemes:
        sys.exit(f"the address of {what} begins with {schemes[0]}://, not {parts.scheme}://")
    return {
        "certificate": None,
        **there,
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": str(parts.port or port),
        "user": urllib.parse.unquote(parts.username or ""),
        "password": urllib.parse.unquote(parts.password or ""),
        "database": urllib.parse.unquote(parts.path.strip("/")),
        "query": dict(urllib.parse.parse_qsl(parts.query)),
    }


def database(there):
    """What the share is called there: the database of the address, or one beside it with the number of the share."""
    share = os.environ.get("CLOUDTOOL_SHARE", "")
    if "database" not in there:
        return share
    return there["database"] + share[len(os.environ["CLOUDTOOL_APP"]) :]


def secret(name):
    """Of the app, in this service."""
    return pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], name).read_text().strip()


def new_secret(name):
    """The same; made when it is not there yet."""
    path = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], name)
    if not path.exists():
        new = path.with_name(f"{name}.new")
        new.touch(0o600)
        new.write_text(f"{os.urandom(24).hex()}\n")
        new.replace(path)
    return secret(name)


def login(there):
    """The file with the password of the app's login; None where the account of an address is all there is."""
    return None if "password" in there else pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"])


def password(there):
    """The app's own."""
    file = login(there)
    return there["password"] if file is None else file.read_text().strip()


def ask(there, command, script):
    """What a client program answers to a script. `command` gives its words and its environment, by where it finds the certificate."""
    certificate = os.memfd_create("certificate")
    if there["certificate"]:
        os.write(certificate, pathlib.Path(there["certificate"]).read_bytes())
    words, environment = command(there["certificate"] and f"/dev/fd/{certificate}")
    return subprocess.run(
        words,
        input=script,
        text=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/", **environment},
        # Neither root nor the app's user, who could read the environment.
        user="nobody",
        group="nogroup",
        extra_groups=[],
        pass_fds=[certificate],
        cwd="/",
        check=False,
    )


def url(scheme, there, user, word, path, query):
    """An address with all of it."""
    host = f"[{there['host']}]" if ":" in there["host"] else there["host"]
    user, word, path = (urllib.parse.quote(part, safe="") for part in (user, word, path))
    asked = f"?{urllib.parse.urlencode(query, safe='/')}" if query else ""
    return f"{scheme}://{user}:{word}@{host}:{there['port']}/{path}{asked}"
