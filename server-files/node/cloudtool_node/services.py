"""The services of an app at work: their scripts are run, each with what it has to know.

This module knows no service by name: what there are is in service_folders.py.
"""

import dataclasses
import hashlib
import json
import os
import pwd
import re
import secrets as random

from . import files, lock, packages, paths, places, users
from .context import Failure
from .service_folders import VARIABLE, Asked, Service, folder_of, in_order, load
from .state import Uses

PASSWORD = re.compile(r"password(\.r[0-9]+)?")
INSTALLED = paths.INSTALLED_SERVICES
# What the scripts read: the defaults of service.ini and, over them, what the admin has set.
EFFECTIVE = f"{paths.RUN}/services"
NODE_SECRETS = f"{paths.SECRETS}/_node"
# The variable that names the file about a share that is not on this node.
ELSEWHERE = "CLOUDTOOL_SERVICE_ELSEWHERE"


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
        # What it keeps about the app, also where its shares are, goes with the rest: if the next service fails, all of this is
        # asked for again.
        removed.append(service.name)
    return removed


def everywhere(ctx, service: Service, asked: Asked) -> list[dict[str, str]]:
    """The environment of the script that removes all of an app's shares, for each place that some of them are at."""
    here = {key: value for key, value in ready(ctx, service, asked).items() if key != ELSEWHERE}
    found = {place["at"]: share for share, place in places.all_of(asked.app, service.name).items()}
    environments = [{**here, ELSEWHERE: paths.elsewhere(asked.app, service.name, share)} for share in found.values()]
    return [here, *environments] if service.name in installed() else environments


def installed() -> list[str]:
    """The services that some app of this node has had."""
    try:
        found = os.listdir(INSTALLED)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".installed") for name in found if name.endswith(".installed"))


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
        "PYTHONPATH": f"{paths.PROGRAM}/common",
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


def share_there(ctx, service: Service, asked: Asked) -> int:
    """The number of the only share that the app has on another node; 1 where it has none."""
    packages.ensure(ctx, service.packages.get("elsewhere", ()))
    told = run_script(ctx, service, "shares", "could not be looked through", ready(ctx, service, asked))
    numbers = sorted(int(line) for line in told.split() if line.isdecimal())
    if len(numbers) > 1:
        names = ", ".join(numbered(asked.app, number) for number in numbers)
        raise Failure(
            "conflict",
            f"{asked.app} has several shares in {service.name} there, {names}: the lost node was filling one of them.",
            "Destroy those there that are not the data, then update again.",
        )
    return numbers[0] if numbers else 1


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
