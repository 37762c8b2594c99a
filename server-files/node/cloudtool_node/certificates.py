"""Certificates: whose hosts have which, how the running front gets them, and from whom.

An app may bring its own (the verb `certificate`). With `tls = auto` it gets one for all of its hosts that lead to this node, from a certificate authority that speaks ACME;
`dehydrated`, a client of the distribution, does the talking. Until there is one, the front shows the node's own, which nobody
trusts, and sends nobody from http to https. The running front takes each over its socket: it is never reloaded for that.
"""

import calendar
import json
import os
import re
import secrets
import socket
import time

from . import checks, files, front, lock, lookup, moves, paths, state
from .context import Failure
from .times import now

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
RENEW_SECONDS = 30 * 86400
# After a refusal: an authority counts them.
REST_SECONDS = 3600
ORDER_SECONDS = 300
# HAProxy takes a command of 16 KB, with key and chain in it.
PEM_BYTES = 15000
NOBODY = "nobody answers there"
LOOK_SECONDS = 5
LOOK_BYTES = 4096

CONFIG = """\
BASEDIR={base}
WELLKNOWN={challenges}
CA={server}
CHALLENGETYPE=http-01
KEY_ALGO=prime256v1
RENEW_DAYS=30
"""


def certificate(ctx, _payload) -> dict:
    """The app's own, and its key."""
    app = checks.app_name(ctx.request.get("app"))
    chain, key = (checks.text(ctx.request.get(name), name) or "" for name in ("chain", "key"))
    ctx.secret(key)
    with lock.app(ctx, app, "certificate"), lock.certificates(ctx):
        current = lookup.existing(app)
        moves.require_here(current)
        if not current.tls or current.tls["kind"] != "own":
            raise Failure("bad-request", f"{app} brings no certificate of its own: `tls` of its app.ini says so.")
        check_pair(ctx, chain, key)
        record = install(ctx, app, key + "\n" + chain)
        files.write(paths.certificate_record(app), json.dumps(record), durable=True)
        with lock.node(ctx):
            front.route()
    return {"app": app, "hosts": record["hosts"]}


def check_pair(ctx, chain: str, key: str) -> None:
    """The key is that of the certificate, before the front is told. What is wrong is said without a word of the key."""
    if len(chain) + len(key) > PEM_BYTES:
        raise Failure("bad-request", f"Certificate, chain and key have more than {PEM_BYTES} bytes together.")
    proven = []
    for words, text, what in ((["x509", "-noout"], chain, "certificate"), (["pkey", "-passin", "pass:"], key, "key")):
        said = ctx.run(["openssl", *words, "-pubkey" if what == "certificate" else "-pubout"], input=text, check=False)
        if said.returncode:
            raise Failure("bad-request", f"The {what} is none that OpenSSL reads (PEM, without a passphrase).")
        proven.append(said.stdout.strip())
    if proven[0] != proven[1]:
        raise Failure(
            "bad-request", "The key is not that of the certificate.", "The first certificate has to be the host's."
        )


def settle_all(ctx) -> None:
    """What the timer runs. One that cannot be had is no reason not to look after the others."""
    for found in state.load_all():
        if found.tls or os.path.exists(paths.certificate_record(found.app)):
            try:
                settle(ctx, found.app)
            except (Failure, OSError) as error:
                print(f"cloudtool: {found.app}: {error}")


def settle(ctx, app: str) -> None:
    """The app has the certificate it should have, as far as that is possible now."""
    with lock.certificates(ctx):
        found = state.load(app)
        # One that has moved is still visited here: what it has stays until its locations are taken away.
        if found and found.moved_to and found.locations:
            return
        if found is None or not found.tls:
            forget(ctx, app)
            return
        if found.tls["kind"] == "own":
            return
        known = found.certificate()
        wanted = hosts(found.locations)
        if is_settled(known, wanted, time.time()):
            return
        elsewhere = {host: why for host in wanted if (why := leads_elsewhere(host))}
        here = candidates(wanted, elsewhere)
        record = {**known, "elsewhere": elsewhere}
        if here and not is_settled(known, here, time.time()) and not is_resting(known, here, time.time()):
            record |= attempt(ctx, found, here)
        files.write(paths.certificate_record(app), json.dumps(record), durable=True)
        with lock.node(ctx):
            front.route()


def attempt(ctx, found: state.State, here: list[str]) -> dict:
    """What is to be remembered of it."""
    try:
        order(ctx, found.app, here, found.tls.get("server") or LETS_ENCRYPT)
        place = f"{paths.ACME}/certs/{found.app}"
        pem = "".join(files.read(f"{place}/{name}") or "" for name in ("privkey.pem", "fullchain.pem"))
        return {**install(ctx, found.app, pem), "failed": None}
    except Failure as failure:
        log = (failure.details or {}).get("log") or [failure.message]
        return {"failed": {"at": now(), "message": reason(log)[:500], "hosts": here}}


def reason(log: list[str]) -> str:
    """The authority's own words where there are some, else dehydrated's."""
    detail = re.search(r'"detail":\s*"((?:[^"\\]|\\.)*)"', "\n".join(log))
    if detail:
        return detail[1].replace('\\"', '"')
    return next((line.strip() for line in log if "ERROR" in line), log[-1].strip())


def hosts(locations: list[str]) -> list[str]:
    """The hosts of an app, as its locations name them, with the www. that the front redirects from. No authority proves by
    HTTP who has a wildcard."""
    found = [location.partition("/")[0] for location in locations if not location.startswith("*.")]
    www = [f"www.{host}" for host in found if f"{host}" in locations and not host.startswith("www.")]
    return list(dict.fromkeys([*found, *www]))


def candidates(wanted: list[str], elsewhere: dict[str, str]) -> list[str]:
    """About which hosts the authority is asked: those that lead here. Where none does, those at which nobody answers as seen
    from here: a router may keep a node from reaching itself by its public address."""
    here = [host for host in wanted if host not in elsewhere]
    return here or [host for host in wanted if elsewhere[host].startswith(NOBODY)]


def is_settled(known: dict, wanted: list[str], at: float) -> bool:
    """It has one for all of them, which is good for a while."""
    return set(wanted) <= set(known.get("hosts") or []) and known.get("ends", 0) - at > RENEW_SECONDS


def is_resting(known: dict, here: list[str], at: float) -> bool:
    failed = known.get("failed")
    if not failed or set(failed["hosts"]) != set(here):
        return False
    return at - calendar.timegm(time.strptime(failed["at"], "%Y-%m-%dT%H:%M:%SZ")) < REST_SECONDS


def leads_elsewhere(host: str) -> str | None:
    """Why no authority would find this node at the host, if so: it is asked for a file that only this node has."""
    token = f"cloudtool-{secrets.token_hex(8)}"
    path = f"{paths.CHALLENGES}/{token}"
    files.write(path, token, mode=0o644)
    try:
        said = look(host, token)
        return None if token in said else "another server answers there"
    except socket.gaierror:
        return "the name is not known"
    except OSError as error:
        return f"{NOBODY} ({error})"
    finally:
        files.remove(path)


def look(host: str, token: str) -> str:
    with socket.create_connection((host, 80), LOOK_SECONDS) as connection:
        head = f"GET /.well-known/acme-challenge/{token} HTTP/1.0\r\nHost: {host}\r\n\r\n"
        connection.sendall(head.encode())
        said = b""
        while len(said) < LOOK_BYTES and (data := connection.recv(LOOK_BYTES)):
            said += data
        return said.decode("utf-8", "replace")


def order(ctx, app: str, here: list[str], server: str) -> None:
    """A certificate in dehydrated's own directory; a new one only where the one that is there does not do."""
    base = paths.ACME
    os.makedirs(base, mode=0o700, exist_ok=True)
    config = f"{base}/{app}.config"
    files.write(config, CONFIG.format(base=base, challenges=paths.CHALLENGES, server=server))
    ctx.run(
        ["dehydrated", "--cron", "--accept-terms", "--config", config, "--alias", app, "--domain", " ".join(here)],
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        },
        cwd="/",
        timeout=ORDER_SECONDS,
    )


def install(ctx, app: str, pem: str) -> dict:
    """Gives the front a key and its chain; says what they are."""
    # A line without anything ends what HAProxy reads.
    pem = "".join(f"{line}\n" for line in pem.splitlines() if line.strip())
    path = paths.certificate(app)
    files.write(path, pem, durable=True)
    write_list()
    about = front.set_certificate(paths.CERTIFICATE_LIST, path, pem)
    return {
        "hosts": [name.strip().removeprefix("DNS:") for name in about["Subject Alternative Name"].split(",")],
        "issuer": about["Issuer"],
        "ends": calendar.timegm(time.strptime(about["notAfter"], "%b %d %H:%M:%S %Y GMT")),
        "since": now(),
    }


def write_list() -> None:
    """What the front loads when it starts; the first is shown to whoever asks for a host without one."""
    names = [
        name for name in files.names(paths.TLS) if name.endswith(".pem") and f"{paths.TLS}/{name}" != paths.NODE_PEM
    ]
    lines = [paths.NODE_PEM, *(f"{paths.TLS}/{name}" for name in names)]
    files.write(paths.CERTIFICATE_LIST, "".join(f"{line}\n" for line in lines))


def forget(ctx, app: str) -> None:
    """An app that is gone, or wants none any more."""
    path = paths.certificate(app)
    if os.path.exists(path):
        files.remove(path)
        write_list()
        front.remove_certificate(paths.CERTIFICATE_LIST, path)
    files.remove(paths.certificate_record(app))
    files.remove(f"{paths.ACME}/{app}.config")
    files.remove_tree(f"{paths.ACME}/certs/{app}")
    with lock.node(ctx):
        front.route()
