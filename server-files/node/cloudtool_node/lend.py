"""A service's server on one node for an app on another: `borrow` on the app's node says who asks, `lend` on the server's node
lets it in, `reclaim` ends that.

The server's node keeps a record of each app it lends to. The scripts of the service make from them whom the server lets in, and the
firewall is open to the app's node alone. What the app's node is given there is a database owner's rights, never the server's.
"""

import hashlib
import json
import os
import re
import socket

from . import checks, copies, files, lock, moves, packages, paths, service_folders, services, state
from .context import Failure

BORROWER = re.compile(r"[0-9a-f]{16}")
ANSWERS_WITHIN = 3


def borrow(ctx, _payload) -> dict:
    """What the other node has to know: who asks, from which address, and the passwords as its server keeps them."""
    app = checks.app_name(ctx.request.get("app"))
    service = lendable(ctx.request.get("service"))
    copying = bool(ctx.request.get("copying"))
    with lock.app(ctx, app, "borrow"):
        if copying:
            copies.check_free(ctx, app)
        with ctx.step("address"):
            host, own = nearest(ctx.request.get("hosts"))
        if ctx.request.get("arriving"):
            # The rest is said by the node that it leaves.
            return {"host": host, "from": own}
        known = state.load(app)
        if known:
            moves.require_here(known)
        asked = service_folders.Asked(app, "static", {}, known.uses if known else state.Uses())
        text = services.run_script(ctx, service, "borrow", "cannot be borrowed", services.ready(ctx, service, asked))
        if copying:
            files.write(paths.borrowed(app), "")
        return {"host": host, "from": own, "borrower": borrower(app, service), "terms": texts(service, text)}


def lend(ctx, _payload) -> dict:
    request = ctx.request
    if not os.path.isdir(paths.FRONT):
        raise Failure("setup", "This node is not set up.", "cloudtool setup-node NODE")
    app = checks.app_name(request.get("app"))
    service = lendable(request.get("service"))
    works_in = [
        service_folders.load(checks.text(name, "The service") or "")
        for name in checks.texts(request.get("with"), "with")
    ]
    record = {
        "app": app,
        "borrower": borrower_of(request),
        "node": checks.text(request.get("node"), "The node") or "",
        "from": checks.address(request.get("from")),
        "terms": request.get("terms"),
    }
    if request.get("arriving"):
        record["arriving"] = arriving(request["arriving"])
    if not isinstance(record["terms"], dict) or not all(isinstance(value, str) for value in record["terms"].values()):
        raise checks.bad("terms is not an object of texts.")
    for value in record["terms"].values():
        ctx.secret(value)
    with ctx.step("packages"):
        packages.ensure(ctx, [name for needed in (service, *works_in) for name in needed.packages.get("", ())])
    with ctx.step("services"):
        for needed in (service, *works_in):
            services.install(ctx, needed, services.settle(ctx, needed, {}))
    with ctx.step("lend"), lock.service(ctx, service.name):
        path = f"{records(service)}/{app}.json"
        before = files.read(path)
        if before and not request.get("take_over"):
            require_same(service, json.loads(before), record)
        for directory in (paths.LENT, records(service)):
            files.make_directory(directory, mode=0o700)
        files.write(path, json.dumps(record) + "\n", durable=True)
        try:
            given = [run(ctx, needed, service, "lend", "could not be lent", app) for needed in (service, *works_in)]
        except BaseException:
            if before is None:
                files.remove(path)
            raise
        told = {key: value for text in given for key, value in texts(service, text).items()}
        open_firewall(ctx, service, record, told["port"])
        return {"app": app, "terms": told}


def reclaim(ctx, _payload) -> dict:
    """Destroys what the server keeps for the app, and lets it in no more."""
    app = checks.app_name(ctx.request.get("app"))
    service = lendable(ctx.request.get("service"))
    wanted = borrower_of(ctx.request)
    with ctx.step("reclaim"), lock.service(ctx, service.name):
        path = f"{records(service)}/{app}.json"
        before = files.read(path)
        if before is None or json.loads(before)["borrower"] != wanted:
            raise Failure("not-found", f"This node lends {service.name} to no such app {app}.")
        ctx.commit()
        run(ctx, service, service, "reclaim", f"could not remove the data of {app}", app)
        files.remove(path)
        files.remove(rules(service, app))
        load_firewall(ctx)
        return {"app": app, "service": service.name}


def lendable(name) -> service_folders.Service:
    if not isinstance(name, str):
        raise checks.bad(f"{name!r} is not a service.")
    service = service_folders.load(name)
    if not service.has("borrow"):
        raise Failure("service", f"The service {name} cannot be on another node.")
    return service


def nearest(hosts) -> tuple[str, str]:
    """The first of the other node's addresses that answers, where SSH does; and ours on the way there."""
    tried = []
    for host, port in hosts or []:
        address = checks.address(host)
        try:
            with socket.create_connection((address, int(port)), ANSWERS_WITHIN) as connection:
                return address, connection.getsockname()[0]
        except OSError as problem:
            tried.append(f"{address}: {problem.strerror or problem}")
    raise Failure(
        "service",
        f"This node does not reach the one that is to lend its service ({'; '.join(tried) or 'it has no address'}).",
        "The two need a network between them.",
    )


def borrower(app: str, service: service_folders.Service) -> str:
    """What the other node knows the app by: a third one may have an app of the same name. It is the same again for an app that
    was removed and comes back, of whose databases nothing is left there but the names."""
    path = f"{paths.service_secrets(app, service.name)}/borrower"
    known = files.read(path)
    if known:
        return known
    directory = f"{services.NODE_SECRETS}/{service.name}"
    secret = files.read_bytes(f"{directory}/borrower")
    if not secret:
        secret = os.urandom(16).hex().encode()
        files.write(f"{directory}/borrower", secret, durable=True)
    return hashlib.blake2b(app.encode(), key=secret, digest_size=8).hexdigest()


def borrower_of(request: dict) -> str:
    value = request.get("borrower")
    if not isinstance(value, str) or not BORROWER.fullmatch(value):
        raise checks.bad("borrower is not 16 hex digits.")
    return value


def records(service: service_folders.Service) -> str:
    return f"{paths.LENT}/{service.name}"


def require_same(service: service_folders.Service, known: dict, wanted: dict) -> None:
    if known["borrower"] != wanted["borrower"]:
        app = wanted["app"]
        raise Failure(
            "conflict",
            f"This node keeps the data in {service.name} of another app {app}, of the node {known['node']}.",
            "Give one of the two another name, or destroy the other with its data (cloudtool remove --with-data);"
            f" if {known['node']} is lost, take them over: cloudtool update --take-over.",
        )


def arriving(told) -> dict:
    """The node that the app is going to, from which it may come as well."""
    if not isinstance(told, dict):
        raise checks.bad("arriving is not an object.")
    return {"node": checks.text(told.get("node"), "The node") or "", "from": checks.address(told.get("from"))}


def run(ctx, part: service_folders.Service, lent: service_folders.Service, script: str, failed: str, app: str) -> str:
    environment = services.environment_of(ctx, part)
    environment |= {"CLOUDTOOL_APP": app, "CLOUDTOOL_SERVICE_LENT": records(lent)}
    return services.run_script(ctx, part, script, failed, environment)


def texts(service: service_folders.Service, text: str) -> dict[str, str]:
    """What a script has printed for the other side: nothing, or an object of texts."""
    try:
        found = json.loads(text or "{}")
        if not all(isinstance(value, str) for value in found.values()):
            raise ValueError
        return found
    except (ValueError, AttributeError):
        raise Failure("service", f"A script of services/{service.name} did not print an object of texts.") from None


def rules(service: service_folders.Service, app: str) -> str:
    return f"{paths.FIREWALL_RULES}/input-lent-{service.name}-{app}.nft"


def open_firewall(ctx, service: service_folders.Service, record: dict, port: str) -> None:
    """Open to the app's node, and to the one it is going to. A node without our firewall has its own, or its cloud's."""
    text = ""
    for guest in filter(None, (record, record.get("arriving"))):
        family = "ip6" if ":" in guest["from"] else "ip"
        text += f"# The app {record['app']} of {guest['node']} uses {service.name} of this node.\n"
        text += f"{family} saddr {guest['from']} tcp dport {int(port)} accept\n"
    if files.write(rules(service, record["app"]), text, mode=0o644):
        load_firewall(ctx)


def load_firewall(ctx) -> None:
    if not os.path.exists(f"{paths.ETC}/firewall.nft"):
        return
    done = ctx.run(["systemctl", "reload-or-restart", "cloudtool-firewall.service"], check=False)
    if done.returncode:
        ctx.warning("The firewall could not be loaded; see: journalctl -u cloudtool-firewall")
