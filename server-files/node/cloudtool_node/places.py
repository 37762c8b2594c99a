"""Where the shares of an app's services are: on this node, in the server of another one that lends them (lend.py), or in one
whose address app.ini says.

What is not here is written beside the service's secrets, a file a share. The scripts of the service read it, so whatever is
done with a share is done where that share is. A new one is made where the one before it was.
"""

import hashlib
import json
import re
import urllib.parse

from . import checks, files, paths, users
from .context import Failure

HERE = "here"
NODE = re.compile(r"node:[A-Za-z0-9:._@\[\]-]{1,255}")
SOURCES = ("env:", "file:", "command:")
FILE = re.compile(r"elsewhere\.([1-9][0-9]*)\.json")


def checked(value) -> dict[str, dict]:
    """`elsewhere` of a request: by service where it is and how to get there. What is wrong is never quoted."""
    found = {} if value is None else value
    try:
        fine = isinstance(found, dict) and all(
            checks.SERVICE.fullmatch(name)
            and all(isinstance(item, str) and "\0" not in item for item in place.values())
            and (NODE.fullmatch(place["at"]) or place["at"] == "url")
            for name, place in found.items()
        )
    except (AttributeError, KeyError, TypeError):
        fine = False
    if not fine:
        raise checks.bad("elsewhere is not an object of places.")
    return {name: {**place, "at": address(place["url"])} if "url" in place else place for name, place in found.items()}


def address(url: str) -> str:
    """What stays the same of an address when the password changes. The rest of it is never quoted."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme and parts.hostname:
            return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}{parts.path}"
    except ValueError:
        pass
    raise Failure("service", "An address of a server is like postgresql://USER:PASSWORD@HOST:PORT/DATABASE.")


def is_said(value: str) -> bool:
    """Whether what app.ini says after `service.NAME =` is a place."""
    return bool(NODE.fullmatch(value)) or value.startswith(SOURCES) or "://" in value


def all_of(app: str, service: str) -> dict[int, dict]:
    """The shares that are not here, and where they are."""
    matches = filter(None, map(FILE.fullmatch, files.names(paths.service_secrets(app, service))))
    return {int(match[1]): json.loads(files.read(paths.elsewhere(app, service, int(match[1])))) for match in matches}


def is_addressed(app: str, service: str, share: int) -> bool:
    """Whether a share is in a server whose address app.ini says, with the one account of that."""
    return "url" in all_of(app, service).get(share, {})


def lenders(app: str, names: list[str]) -> list[dict]:
    """The nodes that lend the app something, and what they know it by."""
    found = []
    for service in names:
        for place in all_of(app, service).values():
            if "borrower" not in place:
                continue
            told = {"service": service, "at": place["at"], "borrower": place["borrower"]}
            if told not in found:
                found.append(told)
    return found


def inherit(app: str, before: dict[str, int], numbers: dict[str, int]) -> None:
    """New shares are made where the app's are now."""
    for service, number in numbers.items():
        text = files.read(paths.elsewhere(app, service, before.get(service, 1)))
        if text is not None:
            files.write(paths.elsewhere(app, service, number), text, durable=True)


def settle(app: str, shares: dict[str, int], live: set[str], places: dict[str, dict]) -> None:
    """Writes down where the shares are that a release asks for, before they are made. `live`: the services whose shares the
    app uses already, perhaps since a time in which all of them were here."""
    for name, number in shares.items():
        at = places[name]["at"] if name in places else HERE
        before = files.read(marker(app, name)) or (HERE if name in live else at)
        if at != before:
            raise somewhere_else(app, name, before, at)
        if name in places:
            files.make_directory(paths.service_secrets(app, name), mode=0o700)
            place = json.dumps(with_certificate(app, name, places[name])) + "\n"
            files.write(paths.elsewhere(app, name, number), place, durable=True)
        else:
            files.remove(paths.elsewhere(app, name, number))


def begun(app: str, names: list[str], places: dict[str, dict]) -> None:
    """The shares are there and work: from now on there may be data in them."""
    for name in names:
        files.write(marker(app, name), places[name]["at"] if name in places else HERE)


def forget(app: str, names: list[str]) -> None:
    """How to get at what is not here: nothing that is done on this node reaches it from now on."""
    for service in names:
        if all_of(app, service):
            files.remove_tree(paths.service_secrets(app, service))


def marker(app: str, service: str) -> str:
    """Says where the app has had data of the service."""
    return f"{paths.service_secrets(app, service)}/at"


def somewhere_else(app: str, name: str, before: str, at: str) -> Failure:
    def said(place: str) -> str:
        return "on this node" if place == HERE else f"on {place.removeprefix('node:')}"

    return Failure(
        "service",
        f"The data of {app} in {name} are {said(before)}, and app.ini says {said(at)}: it would begin with nothing there.",
        f"To take them along: cloudtool backup {app}; cloudtool remove {app} --with-data; update, then cloudtool restore.",
    )


def with_certificate(app: str, name: str, place: dict) -> dict:
    """The certificate that the server must show lies where the app can read it."""
    content = place.get("certificate")
    if content is None:
        return place
    path = f"{paths.config(app)}/{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}.pem"
    files.write(path, content, mode=0o640, gid=users.gid(app), durable=True)
    return {**place, "certificate": path}
