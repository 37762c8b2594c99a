"""The node's SSH server: keys only, and dead clients noticed. It is reloaded, never restarted, and never without proof
that the key of whoever is logged in keeps working."""

import itertools
import os
import pwd

from . import files, paths

# First in the directory: of several values sshd takes the first, and cloud images allow passwords in 50-cloud-init.conf.
PATH = "/etc/ssh/sshd_config.d/00-cloudtool.conf"
UNIT = "ssh.service"


def ensure(setup) -> None:
    """The drop-in on disk, as far as it is safe; `reload` makes the server read it."""
    if not os.path.isdir(os.path.dirname(PATH)):
        setup.ctx.warning("sshd on this node reads no /etc/ssh/sshd_config.d; it is left as it is.")
        return
    old = files.read_bytes(PATH)
    basic = files.read_bytes(f"{paths.PROGRAM}/setup/sshd.conf")
    keys_only = basic + files.read_bytes(f"{paths.PROGRAM}/setup/sshd-passwords.conf")
    if old == keys_only:
        setup.unchanged += 1
        if ("passwordauthentication", "yes") in setup.sshd:
            setup.ctx.warning("sshd takes passwords: another file in /etc/ssh overrules cloudtool's (see sshd -T).")
        return
    settings = effective(setup.ctx, setup.user)
    proven = key_is_authorized(setup.key, setup.user, settings.get("authorizedkeysfile", ".ssh/authorized_keys"))
    if not proven:
        setup.ctx.warning(
            f"The key you log in with is not in the authorized_keys of {setup.user} on the node, "
            "so logging in with passwords was left as it is. Add it with ssh-copy-id and run setup-node again."
        )
        if old is not None and old.startswith(basic):
            return
    setup.will("reload-sshd")
    setup.file(PATH, keys_only if proven else basic)
    problem = objection(setup.ctx, setup.user, proven)
    if problem:
        if old is None:
            os.unlink(PATH)
        else:
            files.write(PATH, old, mode=0o644)
        setup.changed.remove(PATH)
        setup.done("reload-sshd")
        setup.ctx.warning(f"The SSH server's configuration was left as it is: {problem}")


def reload(setup, running: bool) -> None:
    """A server that is started for each connection (ssh.socket) reads its configuration by itself."""
    must = setup.must("reload-sshd")
    if must and running:
        setup.ctx.run(["systemctl", "reload", UNIT], check=False)
    setup.note("sshd reloaded", must)
    setup.done("reload-sshd")


def objection(ctx, user: str, keys_only: bool) -> str | None:
    """Why what is on disk must not be used; None when it does what it should."""
    result = ctx.run(["/usr/sbin/sshd", "-t"], check=False)
    if result.returncode:
        return (result.stderr.strip().splitlines() or ["sshd -t fails"])[-1]
    settings = effective(ctx, user)
    if keys_only and (settings.get("passwordauthentication") != "no" or settings.get("pubkeyauthentication") != "yes"):
        return "another file in /etc/ssh (see sshd -T) overrules it, or sshd_config does not include sshd_config.d."
    return None


def ports(settings) -> list[int]:
    """The ports sshd listens on, and the one that we came in by: nobody is locked out by a setting that is not applied yet."""
    found = set()
    for name, value in settings:
        if name == "port" and value.isdigit():
            found.add(int(value))
        elif name == "listenaddress" and (port := value.split()[0].rpartition(":")[2]).isdigit():
            found.add(int(port))
    if used := port_in_use():
        found.add(used)
    return sorted(found or {22})


def effective(ctx, user: str) -> dict[str, str]:
    """sshd's settings for a login of `user`; of a setting with several values the first."""
    settings = {}
    for name, value in read(ctx, ["-C", f"user={user},host=localhost,addr=127.0.0.1"]):
        settings.setdefault(name, value)
    return settings


def read(ctx, arguments=()) -> list[tuple[str, str]]:
    """All settings of sshd, as its configuration on disk makes them."""
    # sshd refuses to say anything without this directory, which is only there while it runs.
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    shown = ctx.run(["/usr/sbin/sshd", "-T", *arguments], check=False).stdout
    return [(name, value) for name, _, value in (line.partition(" ") for line in shown.splitlines())]


def port_in_use() -> int | None:
    """The port of the SSH connection that this process serves. sudo takes it out of our environment, so our parents are asked."""
    pid = os.getpid()
    while pid > 1:
        environment = files.read_bytes(f"/proc/{pid}/environ") or b""
        for variable in environment.split(b"\0"):
            if variable.startswith(b"SSH_CONNECTION="):
                port = variable.split()[-1]
                return int(port) if port.isdigit() else None
        status = (files.read_bytes(f"/proc/{pid}/stat") or b"").rpartition(b")")[2].split()
        pid = int(status[1]) if len(status) > 1 else 0
    return None


def key_is_authorized(key: str | None, user: str, patterns: str) -> bool:
    """Is `key` (`type base64`) in one of the user's files of authorized keys?"""
    words = (key or "").split()
    if len(words) < 2:
        return False
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        return False
    for pattern in patterns.split():
        path = pattern.replace("%%", "\0").replace("%h", home).replace("%u", user).replace("\0", "%")
        content = files.read_bytes(os.path.join(home, path))
        if content is not None and has_key(content.decode("utf-8", "replace"), words[0], words[1]):
            return True
    return False


def has_key(authorized_keys: str, kind: str, blob: str) -> bool:
    """A line may have options before the key, which may have spaces in quotes."""
    for line in authorized_keys.splitlines():
        words = line.split()
        if words and not words[0].startswith("#") and (kind, blob) in itertools.pairwise(words):
            return True
    return False
