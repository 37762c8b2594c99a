"""The folders under services/: what they say of themselves, and what an app asks of them.

This module knows no service by name. What a folder may hold is in docs/architecture.md, "A service is a folder"; what its scripts do
is asked of them in services.py.
"""

import dataclasses
import os
import re

from . import checks, files, lock, paths, places
from .context import Failure
from .state import Uses

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Service:
    name: str
    folder: str
    requires: tuple[str, ...]
    packages: dict[str, list[str]]  # by platform; "" is for all
    data: str | None
    backup: str | None  # why there is nothing to back up
    address: tuple[str, str] | None  # the variables that say where the server is: its host, its port
    description: str
    settings: dict[str, str]
    variables: tuple[str, ...]
    secrets: frozenset[str]

    def has(self, script: str) -> bool:
        return os.path.exists(f"{self.folder}/{script}")

    @property
    def has_data(self) -> bool:
        """Is there something of it to back up?"""
        return bool(self.data) or self.has("dump")

    @property
    def share_of(self) -> str:
        """The service in whose share it works: what has nothing of its own works in that of the one it requires."""
        return self.requires[0] if self.requires and not self.has_data else self.name


@dataclasses.dataclass(frozen=True)
class Asked:
    """An app's use of its services: what app.ini says of them, which of their shares, and with which logins."""

    app: str
    platform: str
    values: dict[str, str]
    uses: Uses

    @classmethod
    def by(cls, app: str, settings: dict, uses: Uses) -> "Asked":
        return cls(app, settings["platform"], {it["name"]: it.get("value") or "" for it in settings["services"]}, uses)

    def share(self, service: Service) -> int:
        return self.uses.share(service.share_of)

    def login(self, service: Service) -> int:
        return self.uses.login(service.name)


def shares_of(asked: Asked) -> dict[str, int]:
    """The shares that an app with these services uses."""
    return {service.share_of: asked.share(service) for service in in_order(list(asked.values))}


def logins_of(asked: Asked) -> dict[str, int]:
    """The logins that an app with these services uses."""
    return {service.name: asked.login(service) for service in in_order(list(asked.values))}


def lendable(asked: Asked) -> list[str]:
    """The services whose shares may be on another node."""
    return [service.name for service in in_order(list(asked.values)) if service.has("borrow")]


def require_places(asked: Asked, found: dict[str, dict]) -> None:
    """Whoever sends a release has asked the other nodes for what app.ini says is there."""
    for service in in_order(list(asked.values)):
        said, holder = asked.values.get(service.name, ""), service.share_of
        if load(holder).has("borrow") and places.is_said(said) and holder not in found:
            raise Failure(
                "unsupported",
                f"{asked.app} has its data of {holder} where app.ini says an address, with one account: a copy would share them.",
                "cloudtool backup and cloudtool restore do, between apps that are there already.",
            )
    if set(found) - set(lendable(asked)):
        raise checks.bad("elsewhere names a service that is not asked for, or cannot be elsewhere.")


def with_data(asked: Asked, stays: frozenset[str] = frozenset()) -> list[Service]:
    """The services that have something of the app's to back up, in the order in which they are provisioned; without `stays`."""
    return [service for service in in_order(list(asked.values)) if service.has_data and service.name not in stays]


def left_out(asked: Asked) -> dict[str, str]:
    """The services that have nothing to back up, and why."""
    return {
        service.name: service.backup or "its folder does not say how to dump it"
        for service in in_order(list(asked.values))
        if not service.has_data and service.share_of == service.name
    }


def in_order(names: list[str]) -> list[Service]:
    """The services and what they require, each once, a required one before the one that requires it."""
    order = {}

    def visit(name, chain):
        if name in chain:
            raise Failure("service", f"The services {' -> '.join([*chain, name])} require each other.")
        if name not in order:
            service = load(name)
            for required in service.requires:
                visit(required, (*chain, name))
            order[name] = service

    for name in sorted(names):
        visit(name, ())
    return list(order.values())


def load(name: str) -> Service:
    import configparser

    folder = checks.SERVICE.fullmatch(name) and folder_of(name)
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.optionxform = str
    try:
        if not folder:
            raise FileNotFoundError
        with open(f"{folder}/service.ini", encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        raise Failure("service", f"There is no service {name!r}.", f"Services are: {', '.join(available())}.") from None
    except configparser.Error as problem:
        raise Failure("service", f"{folder}/service.ini: {problem.message}") from None
    about = dict(parser["service"]) if parser.has_section("service") else {}
    by_platform = {
        key.partition(".")[2]: value.split() for key, value in about.items() if key.partition(".")[0] == "packages"
    }
    data = about.get("data") or None
    if data and not checks.SERVICE.fullmatch(data):
        raise Failure("service", f"{folder}/service.ini: data = {data!r} is not the name of a directory.")
    hidden = parser.get("secrets", "names", fallback="")
    return Service(
        name=name,
        folder=folder,
        requires=tuple(about.get("requires", "").replace(",", " ").split()),
        packages=by_platform,
        data=data,
        backup=about.get("backup") or None,
        address=parse_address(folder, about.get("address")),
        description=about.get("description", ""),
        settings=dict(parser["settings"]) if parser.has_section("settings") else {},
        variables=tuple(parser["variables"]) if parser.has_section("variables") else (),
        secrets=frozenset(hidden.replace(",", " ").split()),
    )


def parse_address(folder: str, text: str | None) -> tuple[str, str] | None:
    """`CONFIG_PG_HOST:CONFIG_PG_PORT`."""
    if not text:
        return None
    names = text.split(":")
    if len(names) != 2 or not all(VARIABLE.fullmatch(name) for name in names):
        raise Failure("service", f"{folder}/service.ini: address = {text!r} is not HOST_VARIABLE:PORT_VARIABLE.")
    return names[0], names[1]


def available() -> list[str]:
    """All that an app of this node could ask for."""
    return sorted(name for name in files.names(paths.SERVICES) + files.names(paths.OWN_SERVICES) if folder_of(name))


def folder_of(name: str) -> str | None:
    """Where the service is: with the node program, or among those that came with an app. The former cannot be replaced."""
    folders = [f"{root}/{name}" for root in (paths.SERVICES, paths.OWN_SERVICES)]
    return next((folder for folder in folders if os.path.exists(f"{folder}/service.ini")), None)


def take_over(ctx, folders: dict[str, dict[str, bytes]]) -> None:
    """Folders that come with an app. File by file, so that a kill leaves a service that can still be asked to remove its data."""
    for name, contents in folders.items():
        if folder_of(name) == f"{paths.SERVICES}/{name}":
            raise Failure("service", f"The node has a service {name} of its own.", "Give yours another name.")
        folder = f"{paths.OWN_SERVICES}/{name}"
        with lock.service(ctx, name):
            for directory in (paths.OWN_SERVICES, folder):
                files.make_directory(directory, mode=0o700)
            for file, content in contents.items():
                files.write(f"{folder}/{file}", content, mode=0o700 if content.startswith(b"#!") else 0o600)
            for file in set(files.names(folder)) - set(contents):
                files.remove_tree(f"{folder}/{file}")
