"""The system user of an app and the directories that belong to it."""

import os
import pwd

from . import files, paths
from .context import Failure

SECRET_BYTES = 32
# App users have ids of their own, which the firewall knows them by (server-files/setup/firewall.nft).
FIRST_ID, LAST_ID = 61000, 63999


def name(app: str) -> str:
    return f"ct-{app}"


def uid(app: str) -> int:
    return pwd.getpwnam(name(app)).pw_uid


def gid(app: str) -> int:
    return pwd.getpwnam(name(app)).pw_gid


def ensure_app_user(ctx, app: str) -> None:
    """Idempotent: the user ct-APP, its directories, its stable secret and its log rotation."""
    try:
        user = pwd.getpwnam(name(app))
    except KeyError:
        user = _create(ctx, app)
    own = {"uid": user.pw_uid, "gid": user.pw_gid}
    group = {"gid": user.pw_gid}
    os.makedirs(paths.APPS, 0o755, exist_ok=True)
    os.makedirs(f"{paths.ETC}/apps", 0o755, exist_ok=True)
    os.makedirs(paths.LOGS, 0o755, exist_ok=True)
    for path in (paths.app(app), paths.releases(app), paths.venvs(app), paths.data(app), paths.config(app)):
        files.make_directory(path, mode=0o750, **group)
    # The set-group-id bit keeps the logs readable by the group adm, whoever writes them.
    files.make_directory(paths.logs(app), mode=0o2750, uid=own["uid"], gid=_adm())
    kept = [paths.VAR, paths.STATES, paths.MANIFESTS, paths.SECRETS, paths.LOCKS, paths.BACKUPS, paths.SNAPSHOTS]
    for path in [*kept, paths.manifests(app), paths.secrets(app), paths.launches(app)]:
        files.make_directory(path, mode=0o700)
    if not os.path.exists(paths.app_secret(app)):
        files.write(paths.app_secret(app), os.urandom(SECRET_BYTES).hex(), mode=0o640, durable=True, **group)
    template = files.read(f"{paths.PROGRAM}/logrotate")
    if template is not None:
        files.write(paths.logrotate(app), template.replace("@APP@", app), mode=0o644)


def _adm() -> int:
    import grp

    return grp.getgrnam("adm").gr_gid


def _create(ctx, app: str):
    ctx.run(
        ["useradd", "--system"]
        + ["-K", f"SYS_UID_MIN={FIRST_ID}", "-K", f"SYS_UID_MAX={LAST_ID}"]
        + ["-K", f"SYS_GID_MIN={FIRST_ID}", "-K", f"SYS_GID_MAX={LAST_ID}"]
        + ["--user-group", "--no-create-home", "--home-dir", paths.data(app)]
        + ["--shell", "/usr/sbin/nologin", "--comment", f"cloudtool app {app}", name(app)],
        code="setup",
    )
    try:
        return pwd.getpwnam(name(app))
    except KeyError:
        raise Failure("setup", f"The user {name(app)} could not be made.") from None


def remove_app_user(ctx, app: str) -> None:
    """The user, once nothing on the node belongs to it any more."""
    try:
        pwd.getpwnam(name(app))
    except KeyError:
        return
    ctx.run(["userdel", name(app)], check=False)
