"""What `doctor` asks an app beside what `status` says: each function is a check, and says what it finds by `look.warn`."""

import calendar
import os
import time

from . import backup_status, files, health, http1, lock, paths, service_folders, services, slots, values
from .context import Failure
from .state import State
from .times import FORMAT

# Whoever waits for a doctor does not wait as long as for a first start.
PATIENCE = 10
MINUTES_OF_A_DAY = 24 * 60


def health_of_app(look, found: State) -> dict | None:
    """The health check of app.ini, asked of what serves. Nobody is woken for it."""
    if not found.at_work or found.asleep:
        return None
    launch = slots.load_launch(found.app, found.live)
    if launch is None:
        look.warn(f"How {found.live} of {found.app} is started is not known any more.", "cloudtool update DIR --force")
        return None
    path, began = launch.settings["health_check"], time.monotonic()
    try:
        answer = http1.get(
            found.port(found.live_slot), path, health.headers(found), deadline=began + PATIENCE, tick=lambda: None
        )
    except ConnectionRefusedError:
        look.warn(f"{found.live} of {found.app} does not run.", f"cloudtool restart {found.app}")
        return None
    except (OSError, http1.Closed):
        look.warn(
            f"{found.app} did not answer its health check {path} within {PATIENCE} s.",
            f"cloudtool logs {found.app} --stream error; cloudtool restart {found.app}",
        )
        return None
    if not 200 <= answer.status < 400:
        message = f"{found.app} answers its health check {path} with {answer.status}."
        look.warn(message, f"cloudtool logs {found.app} --stream error")
    return {"text": f"{path} answers {answer.status} after {(time.monotonic() - began) * 1000:.0f} ms"}


def previous(look, found: State) -> dict | None:
    """`prev.HOST` wakes the release before, to which a rollback leads."""
    if not found.previous or found.moved_to:
        return None
    states = [
        look.units.get(unit(found.app, found.idle_slot), {}).get("ActiveState")
        for unit in (paths.wake_socket, paths.app_unit)
    ]
    if not os.path.isdir(paths.release(found.app, found.previous)):
        look.warn(f"The files of {found.previous} of {found.app} are gone.", f"cloudtool releases {found.app}")
    elif "active" not in states:
        look.warn(f"Nothing wakes {found.previous} at prev.HOST of {found.app}.", f"cloudtool restart {found.app}")
    return {"text": f"{found.previous} can be gone back to"}


def settings(look, found: State) -> dict | None:
    """What app.ini says must be set."""
    launch = slots.load_launch(found.app, found.live) if found.live else None
    if launch is None:
        return None
    known = values.load(found.app, values.current(found))
    for name in values.missing(launch.settings, known):
        look.warn(f"{found.app} needs {name} to be set.", f"cloudtool config {found.app} set {name} SOURCE")
    return {"text": f"{len(known)} values are set"}


def works_of_services(look, found: State) -> dict | None:
    """The services' own scripts say whether the app's share works, as they do at every update."""
    launch = slots.load_launch(found.app, found.live) if found.at_work else None
    if launch is None or not launch.settings["services"]:
        return None
    if is_at_work(found.app):
        return {"text": "somebody is just working on them"}
    asked = service_folders.Asked.by(found.app, launch.settings, found.uses)
    names = []
    for service in service_folders.in_order(list(asked.values)):
        try:
            environment = services.ready(look.ctx, service, asked) | launch.variables
            services.run_script(look.ctx, service, "check", f"does not work for {found.app}", environment)
        except Failure as failure:
            look.warn(failure.message, "cloudtool update DIR --force provides it again.")
        names.append(service.name)
    return {"text": f"{', '.join(names)} tried"}


def backup_plan(look, found: State) -> dict | None:
    """Data without a backup, and backups that should have been taken since."""
    known = backup_status.about(found.app)
    launch = slots.load_launch(found.app, found.live) if found.at_work else None
    taken = known.get("taken")
    if is_planned(known):
        if taken and (late := lateness(known, taken["at"], time.time())):
            look.warn(f"{found.app}: no backup was taken for {late:.0f} hours.", f"cloudtool backup {found.app}")
        return {"text": "by itself"}
    if launch and not taken:
        asked = service_folders.Asked.by(found.app, launch.settings, found.uses)
        if with_data := [service.name for service in service_folders.with_data(asked)]:
            look.warn(
                f"{found.app} has data ({', '.join(with_data)}) and was never backed up.",
                f"cloudtool backup {found.app}, or backup.every in its app.ini.",
            )
    return None


def is_planned(known: dict) -> bool:
    return known["every"] is not None or known["at"] is not None


def lateness(known: dict, taken: str, now: float) -> float | None:
    """For how many hours there was no backup, where it is more than two should take."""
    minutes = known["every"] or MINUTES_OF_A_DAY
    seconds = now - calendar.timegm(time.strptime(taken, FORMAT))
    return seconds / 3600 if seconds > 2 * minutes * 60 else None


def unfinished(look, found: State) -> dict:
    """What `recover` would have to mend."""
    if is_at_work(found.app):
        return {"text": "somebody is just working on it"}
    mends = f"cloudtool restart {found.app}"
    left = sorted(set(files.names(paths.releases(found.app))) - set(found.kept))
    if left:
        look.warn(f"An update of {found.app} was cut short, and has left {', '.join(left)}.", mends)
    gone = [release for release in {found.live, found.previous} - {None} if release not in found.kept]
    if gone:
        look.warn(f"{', '.join(gone)} of {found.app} is in use, and its files are not kept.", mends)
    for service, number in found.doomed:
        look.warn(f"A share of {service} that {found.app} does not use is still there ({number}).", mends)
    for service, number in found.doomed_logins:
        look.warn(f"A login of {service} that {found.app} does not use still works ({number}).", mends)
    return {"text": "nothing is"}


def is_at_work(app: str) -> bool:
    return lock.holder(lock.app_file(app)) is not None
