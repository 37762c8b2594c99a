"""A server of this node that apps of other nodes use, as the `lend` and `reclaim` of all services see it."""

import grp
import json
import os
import pathlib
import socket
import subprocess
import sys

TWENTY_YEARS = "7300"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def records():
    """The apps of other nodes, by name."""
    directory = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_LENT"])
    return {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}


def addresses(record):
    """Where an app may come from: its node, and while it moves the one it is going to, which is the last."""
    return [guest["from"] for guest in (record, record.get("arriving")) if guest]


def certify(directory, group):
    """The server's key and certificate, `server.key` and `server.pem` in a directory, for all addresses that the node has now.

    Gives the authority that has signed it, made once: whoever uses the server is given that, and believes no other. So the
    certificate can change with the node's addresses; when it does, the second that is given is true.
    """
    kept = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_NODE_SECRETS"])
    authority, names = kept / "authority.pem", kept / "certified"
    if not authority.exists():
        subject = f"/CN={os.environ['CLOUDTOOL_SERVICE']} of {socket.gethostname()}"
        openssl(
            "req", "-x509", *NEW_KEY, "-days", TWENTY_YEARS, "-subj", subject, key=kept / "authority.key", out=authority
        )
    wanted = alternative_names()
    shown = pathlib.Path(directory, "server.pem")
    changed = not shown.exists() or not names.exists() or names.read_text() != wanted
    if changed:
        os.makedirs(directory, 0o755, exist_ok=True)
        key, request, extensions = pathlib.Path(directory, "server.key"), kept / "request", kept / "extensions"
        extensions.write_text(f"subjectAltName = {wanted}\n")
        openssl("req", "-new", *NEW_KEY, "-subj", f"/CN={socket.gethostname()}", key=key, out=request)
        signed_by = ["-CA", authority, "-CAkey", kept / "authority.key", "-set_serial", f"0x{os.urandom(8).hex()}"]
        openssl("x509", "-req", "-in", request, *signed_by, "-days", TWENTY_YEARS, "-extfile", extensions, out=shown)
        give(key, group, 0o640)
        give(shown, group, 0o644)
        names.write_text(wanted)
    return authority.read_text(), changed


def alternative_names():
    """As openssl reads them: those that look at the name of a server find the address they have called."""
    done = subprocess.run(
        ["ip", "-json", "address", "show", "scope", "global"], capture_output=True, text=True, check=True
    )
    found = {item["local"] for link in json.loads(done.stdout) for item in link.get("addr_info", []) if "local" in item}
    return ",".join([f"DNS:{socket.gethostname()}", *(f"IP:{address}" for address in sorted(found))])


def openssl(*words, out, key=None):
    """Each file is there when it is whole."""
    files = [(path, pathlib.Path(f"{path}.new")) for path in (key, out) if path]
    old = os.umask(0o077)
    where = [word for option, (_, new) in zip(["-keyout", "-out"][-len(files) :], files) for word in (option, new)]
    made = subprocess.run(["openssl", *words, *where], capture_output=True, text=True, check=False)
    os.umask(old)
    if made.returncode:
        sys.exit(f"openssl could not make a certificate: {made.stderr.strip().splitlines()[-1]}")
    for path, new in files:
        new.replace(path)


def give(path, group, mode):
    """Root's, and readable for the server."""
    os.chown(path, 0, grp.getgrnam(group).gr_gid)
    os.chmod(path, mode)


def replace(path, content, mode=None, owner=None):
    """A file of the server's by rename, in the mode and owner of the one before it; gives whether it was another one."""
    path = pathlib.Path(path)
    before = path.stat() if path.exists() else None
    if before and path.read_text() == content:
        return False
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    new.write_text(content)
    if before:
        os.chown(new, before.st_uid, before.st_gid)
    if owner:
        os.chown(new, *owner)
    new.chmod(before.st_mode & 0o777 if before else mode or 0o644)
    new.replace(path)
    return True
