"""The services of an app: folders under services/ that say what they need and have scripts that do it.

This module knows no service by name. What a folder may hold is in docs/architecture.md, "A service is a folder".
"""

import dataclasses
import hashlib
import json
import os
import pwd
import re
import secrets as random

from . import checks, files, lock, packages, paths, places, users
from .context import Failure
from .state import Uses

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
PASSWORD = re.compile(r"password(\.r[0-9]+)?")
INSTALLED = paths.INSTALLED_SERVICES
# What the scripts read: the defaults of service.ini and, over them, what the admin has set.
EFFECTIVE = f"{paths.RUN}/services"
NODE_SECRETS = f"{paths.SECRETS}/_node"
# The variable that names the file about a share that is not on this node.
ELSEWHERE = "CLOUDTOOL_SERVICE_ELSEWHERE"


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


@dataclasses.dataclass
class Provisioned:
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    secret_names: set[str] = dataclasses.field(default_factory=set)


def provision_all(ctx, asked: Asked, service_settings: dict) -> Provisioned:
    """Everything the app asks for is there when this returns; gives back the variables for its environment."""
    wanted = in_order(list(asked.values))
    effective = {service.name: settle(ctx, service, service_settings.get(service.name) or {}) for service in wanted}
    names = [name for service in wanted for key in parts_of(service, asked) for name in service.packages.get(key, ())]
    packages.ensure(ctx, names)
    result = Provisioned()
    for service in wanted:
        if elsewhere_of(service, asked) is None:
            install(ctx, service, effective[service.name])
        environment = app_environment(ctx, service, asked) | result.variables
        add(result, service, provision(ctx, service, asked, environment))
        run_script(ctx, service, "check", f"does not work for {asked.app}", {**environment, **result.variables})
    return result


def parts_of(service: Service, asked: Asked) -> tuple[str, str]:
    """Which packages it needs here: a server that is elsewhere needs only what speaks to it."""
    return "" if elsewhere_of(service, asked) is None else "elsewhere", asked.platform


def shares_of(asked: Asked) -> dict[str, int]:
    """The shares that an app with these services uses."""
    return {service.share_of: asked.share(service) for service in in_order(list(asked.values))}


def logins_of(asked: Asked) -> dict[str, int]:
    """The logins that an app with these services uses."""
    return {service.name: asked.login(service) for service in in_order(list(asked.values))}


def drop(ctx, asked: Asked, name: str) -> None:
    """Destroys a share."""
    service = load(name)
    run_script(ctx, service, "drop", f"could not destroy a share of {asked.app}", ready(ctx, service, asked))
    if service.data:
        directory = data_directory(service, asked)
        for path in (directory, loading(directory), f"{loading(directory)}.partial"):
            files.remove_tree(path)
    files.remove(paths.elsewhere(asked.app, name, asked.share(service)))


def retire(ctx, asked: Asked, name: str) -> None:
    """Ends a login: who knows its password gets in no more."""
    service = load(name)
    environment = ready(ctx, service, asked)
    password = environment["CLOUDTOOL_SERVICE_PASSWORD"]
    left = [file for file in environment["CLOUDTOOL_SERVICE_PASSWORDS"].split() if file != password]
    environment["CLOUDTOOL_SERVICE_PASSWORDS"] = " ".join(left)
    run_script(ctx, service, "retire", f"could not end a login of {asked.app}", environment)
    files.remove(password)


def remove(ctx, app: str, names: list[str], platform: str) -> list[str]:
    """Destroys what the services keep for the app; gives back which those were."""
    known = [name for name in names if folder_of(name)]
    for name in sorted(set(names) - set(known)):
        ctx.warning(f"This node has no service {name} any more; what it kept for {app} stays.")
    removed = []
    for service in reversed(in_order(known)):
        for environment in everywhere(ctx, service, Asked(app, platform, {}, Uses())):
            run_script(ctx, service, "remove", f"could not remove the data of {app}", environment)
        for directory in files.names(paths.data(app)) if service.data else []:
            if directory == service.data or directory.startswith(f"{service.data}."):
                files.remove_tree(f"{paths.data(app)}/{directory}")
        files.remove_tree(paths.service_secrets(app, service.name))
        removed.append(service.name)
    return removed


def everywhere(ctx, service: Service, asked: Asked) -> list[dict[str, str]]:
    """The environment of the script that removes all of an app's shares, for each place that some of them are at."""
    here = {key: value for key, value in ready(ctx, service, asked).items() if key != ELSEWHERE}
    found = {place["at"]: share for share, place in places.all_of(asked.app, service.name).items()}
    environments = [{**here, ELSEWHERE: paths.elsewhere(asked.app, service.name, share)} for share in found.values()]
    return [here, *environments] if not environments or service.name in installed() else environments


def installed() -> list[str]:
    """The services that some app of this node has had."""
    try:
        found = os.listdir(INSTALLED)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".installed") for name in found if name.endswith(".installed"))


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
                f"{asked.app} has its data of {holder} on another server: neither a copy nor a move takes those along.",
                "cloudtool backup and cloudtool restore do, between apps that are there already.",
            )
    if set(found) - set(lendable(asked)):
        raise checks.bad("elsewhere names a service that is not asked for, or cannot be elsewhere.")


def with_data(asked: Asked) -> list[Service]:
    """The services that have something of the app's to back up, in the order in which they are provisioned."""
    return [service for service in in_order(list(asked.values)) if service.has_data]


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


def settle(ctx, service: Service, given: dict) -> dict[str, str]:
    """What the admin sets now goes over what was set before, and that over the defaults."""
    unknown = sorted(set(given) - set(service.settings))
    if unknown:
        allowed = ", ".join(service.settings) or "none"
        raise Failure("service", f"The service {service.name} has no setting {unknown[0]!r}.", f"It has: {allowed}.")
    path = f"{paths.SERVICE_SETTINGS}/{service.name}.json"
    before = json.loads(files.read_bytes(path) or b"{}")
    set_here = {key: value for key, value in before.items() if key in service.settings}
    set_here |= {key: str(value) for key, value in given.items()}
    if set_here != before:
        os.makedirs(paths.SERVICE_SETTINGS, mode=0o700, exist_ok=True)
        files.write(path, json.dumps(set_here, indent=1) + "\n", durable=True)
    effective = service.settings | set_here
    files.make_directory(paths.RUN)
    files.make_directory(EFFECTIVE, mode=0o700)
    files.write(f"{EFFECTIVE}/{service.name}.json", json.dumps(effective) + "\n")
    for name, value in effective.items():
        ctx.secrets_in(value)
        if name in service.secrets:
            ctx.secret(value)
    return effective


def install(ctx, service: Service, effective: dict) -> None:
    """Once a node, and again when the folder or the settings have changed."""
    marker = f"{INSTALLED}/{service.name}.installed"
    wanted = (fingerprint(service, effective) + "\n").encode()
    if files.read_bytes(marker) == wanted:
        return
    with lock.service(ctx, service.name):
        if files.read_bytes(marker) == wanted:
            return
        run_script(ctx, service, "install", "could not be installed", environment_of(ctx, service), log=True)
        os.makedirs(INSTALLED, mode=0o755, exist_ok=True)
        files.write(marker, wanted, mode=0o644, durable=True)


def fingerprint(service: Service, effective: dict) -> str:
    digest = hashlib.sha256(json.dumps(effective, sort_keys=True).encode())
    for name in sorted(os.listdir(service.folder)):
        content = files.read_bytes(f"{service.folder}/{name}") if os.path.isfile(f"{service.folder}/{name}") else b""
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def provision(ctx, service: Service, asked: Asked, environment: dict[str, str]) -> dict[str, str]:
    if service.data:
        owner = pwd.getpwnam(users.name(asked.app))
        files.make_directory(data_directory(service, asked), mode=0o750, uid=owner.pw_uid, gid=owner.pw_gid)
    told = run_script(ctx, service, "provision", f"could not be provisioned for {asked.app}", environment)
    variables = parse_variables(service, told)
    for name in service.secrets & variables.keys():
        ctx.secret(variables[name])
    return variables


def parse_variables(service: Service, told: str) -> dict[str, str]:
    """The NAME=value lines of `provision`. What is wrong is never quoted: it may be a secret."""
    variables = {}
    for number, line in enumerate(told.splitlines(), 1):
        name, equals, value = line.partition("=")
        where = f"services/{service.name}/provision printed, in line {number},"
        if not equals or not VARIABLE.fullmatch(name):
            raise Failure("service", f"{where} something that is not NAME=value.")
        if name not in service.variables:
            raise Failure("service", f"{where} the variable {name}, which is not in [variables] of its service.ini.")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise Failure("service", f"{where} a value of {name} with a control character in it.")
        variables[name] = value
    return variables


def add(result: Provisioned, service: Service, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        if result.variables.get(name, value) != value:
            raise Failure(
                "service",
                f"The service {service.name} gives the variable {name}, which another service of the app has set.",
                "Ask for one of the two in app.ini.",
            )
    result.variables |= variables
    result.secret_names |= service.secrets & variables.keys()


def environment_of(ctx, service: Service) -> dict[str, str]:
    """What the scripts of a service see that is not of an app."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "CLOUDTOOL_SERVICE": service.name,
        "CLOUDTOOL_SERVICE_SETTINGS": f"{EFFECTIVE}/{service.name}.json",
        "CLOUDTOOL_SERVICE_NODE_SECRETS": secrets_of(ctx, NODE_SECRETS, service.name, 1)[0],
    }


def app_environment(ctx, service: Service, asked: Asked) -> dict[str, str]:
    secrets, password = secrets_of(ctx, paths.secrets(asked.app), service.name, asked.login(service))
    return {
        **environment_of(ctx, service),
        "CLOUDTOOL_APP": asked.app,
        "CLOUDTOOL_APP_USER": users.name(asked.app),
        "CLOUDTOOL_APP_DATA": paths.data(asked.app),
        "CLOUDTOOL_PLATFORM": asked.platform,
        "CLOUDTOOL_SHARE": numbered(asked.app, asked.share(service)),
        **({"CLOUDTOOL_SHARE_DATA": data_directory(service, asked)} if service.data else {}),
        **({ELSEWHERE: place} if (place := elsewhere_of(service, asked)) else {}),
        "CLOUDTOOL_SERVICES": " ".join(other.name for other in in_order(list(asked.values))),
        "CLOUDTOOL_SERVICE_VALUE": asked.values.get(service.name, ""),
        "CLOUDTOOL_SERVICE_SECRETS": secrets,
        "CLOUDTOOL_SERVICE_PASSWORD": password,
        "CLOUDTOOL_SERVICE_PASSWORDS": " ".join(passwords(secrets)),
        "CLOUDTOOL_LOGIN": numbered(asked.app, asked.login(service), "r"),
    }


def elsewhere_of(service: Service, asked: Asked) -> str | None:
    """The file that says where the share is, when it is not on this node."""
    path = paths.elsewhere(asked.app, service.share_of, asked.share(service))
    return path if os.path.exists(path) else None


def ready(ctx, service: Service, asked: Asked) -> dict[str, str]:
    """What a script sees outside of an update: the settings it reads are there, also when the node has just started."""
    settle(ctx, service, {})
    return app_environment(ctx, service, asked)


def data_directory(service: Service, asked: Asked) -> str:
    return f"{paths.data(asked.app)}/{numbered(service.data, asked.share(service))}"


def loading(directory: str) -> str:
    """Where the directory of a share is filled, out of everybody's reach."""
    return f"{directory}.loading"


def numbered(name: str, number: int, kind: str = "") -> str:
    """The first share is called like the app, others APP.2, APP.3, ...; logins are APP, APP.r2, APP.r3, ..."""
    return name if number == 1 else f"{name}.{kind}{number}"


def secrets_of(ctx, parent: str, service: str, login: int) -> tuple[str, str]:
    """A directory that only root reads, and the file in it with the password of a login, which is made once."""
    directory = f"{parent}/{service}"
    if not os.path.isdir(directory):
        for above in (paths.SECRETS, parent, directory):
            files.make_directory(above, mode=0o700)
    file = f"{directory}/{numbered('password', login, 'r')}"
    password = files.read_bytes(file)
    if not password:
        password = f"{random.token_hex(24)}\n".encode()
        files.write(file, password, durable=True)
    ctx.secret(password.decode().strip())
    return directory, file


def passwords(directory: str) -> list[str]:
    """The files with the passwords of all logins that there are: one, but in the middle of a rotation."""
    return [f"{directory}/{name}" for name in sorted(files.names(directory)) if PASSWORD.fullmatch(name)]


def script(service: Service, name: str) -> str | None:
    """The path of a script of the service, ready to be run; None when it does not have it."""
    path = f"{service.folder}/{name}"
    if not service.has(name):
        return None
    if not os.access(path, os.X_OK):
        # The client's archive need not know modes.
        os.chmod(path, 0o755)
    return path


def run_script(ctx, service: Service, name: str, failed: str, environment: dict[str, str], log: bool = False) -> str:
    """Runs a script of the service, if it has it; gives back what it printed."""
    path = script(service, name)
    if path is None:
        return ""
    # What is installed may stay and run, so the lock is not for it.
    held = [] if name == "install" else ctx.held
    source = service.name if log else None
    done = ctx.run([path], env=environment, cwd="/", check=False, log=source, code="service", pass_fds=held)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        reason = lines[0] if lines else f"{name} ended with status {done.returncode}"
        raise Failure(
            "service",
            f"The service {service.name} {failed}: {reason}",
            f"Its script is {path} on the node.",
            details={"service": service.name, "script": name, "log": lines[-30:]},
        )
    if not log:
        for line in lines:
            ctx.log(service.name, line)
    return done.stdout
