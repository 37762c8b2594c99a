"""What stays where it is while an app moves: its shares on servers that are on neither node. No row of them is copied.

The node that it goes to is told how to get at them, with the same logins, and both may while the app is on its way. Whose they
are, and so who may destroy them, changes with the state of the node that it leaves: see `State.owns_elsewhere`.
"""

import json

from . import checks, files, paths, places, service_folders, services, streams
from .context import Failure
from .service_folders import Asked


def names(asked: Asked) -> frozenset[str]:
    found = service_folders.in_order(list(asked.values))
    return frozenset(
        service.name for service in found if service.share_of == service.name and services.elsewhere_of(service, asked)
    )


def uses(asked: Asked) -> dict[str, list[int]]:
    """By service, which share and which login."""
    return {name: [asked.uses.share(name), asked.uses.login(name)] for name in sorted(names(asked))}


def require_same(asked: Asked, told) -> None:
    """What was told the other node is still so."""
    if told != uses(asked):
        raise Failure("changed", f"{asked.app} has other data or logins now.", "Move it again.")


def give(ctx, asked: Asked, store, name: str) -> dict | None:
    """Puts into the store where the shares are, and all that this node knows to get at them. Gives what `take` is to be told."""
    staying = sorted(names(asked))
    if not staying:
        return None
    told = {service: known(asked.app, service, asked.uses) for service in staying}
    return streams.put_text(ctx, store, name, "What is on other servers could not be read", json.dumps(told).encode())


def known(app: str, service: str, uses) -> dict:
    directory = paths.service_secrets(app, service)
    share = uses.share(service)
    place = places.all_of(app, service)[share]
    if "url" in place:
        place["at"] = "url"
    if place.get("certificate"):
        place["certificate"] = files.read(place["certificate"])
    kept = [
        name
        for name in files.names(directory)
        if checks.SERVICE_FILE.fullmatch(name) and not places.FILE.fullmatch(name)
    ]
    secrets = {name: files.read(f"{directory}/{name}") for name in kept}
    if "borrower" in place:
        # The lender goes on knowing the app by it.
        secrets["borrower"] = place["borrower"]
    return {"share": share, "login": uses.login(service), "place": place, "secrets": secrets}


def take(ctx, state, store, about: dict) -> dict[str, dict]:
    """On the other node: the same shares, logins and passwords. Gives the places that are addresses."""
    found = json.loads(streams.get_text(ctx, store, about, "What is on other servers could not be copied"))
    for service, told in found.items():
        directory = paths.service_secrets(state.app, service_folders.load(service).name)
        for above in (paths.SECRETS, paths.secrets(state.app), directory):
            files.make_directory(above, mode=0o700)
        for name, text in told["secrets"].items():
            if not checks.SERVICE_FILE.fullmatch(name):
                raise checks.bad(f"{name!r} is not the name of a file.")
            files.write(f"{directory}/{name}", text, durable=True)
        state.take_up(service, told["share"], told["login"])
    state.save()
    return {service: told["place"] for service, told in found.items() if "url" in told["place"]}
