"""Which shares of its services an app uses and with which logins: releases are led to them, and what is doomed is destroyed."""

from . import slots
from .context import Failure
from .state import State, Uses


def launch_of(ctx, current: State, release: str) -> slots.Launch | None:
    """What it takes to start a kept release with the shares and logins in use now, whichever it was made for."""
    launch = slots.load_launch(current.app, release)
    if launch is None or launch.fits(current):
        return launch
    led = lead(ctx, launch, current.app, current.uses)
    led.save(current.app)
    return led


def lead(ctx, launch: slots.Launch, app: str, uses: Uses) -> slots.Launch:
    """The release with variables that lead to these shares with these logins, which are there when this returns."""
    from . import service_folders, services

    asked = service_folders.Asked.by(app, launch.settings, uses)
    given = services.provision_all(ctx, asked, {})
    return slots.Launch(
        launch.release,
        launch.settings,
        launch.slot_conf,
        given.variables,
        given.secret_names,
        launch.venv,
        service_folders.shares_of(asked),
        service_folders.logins_of(asked),
        launch.values,
    )


def destroy_doomed(ctx, current: State) -> list[str]:
    """What cannot be destroyed now stays doomed."""
    if not current.doomed and not current.doomed_logins:
        return []
    from . import services

    destroyed = []
    for service, number in current.doomed:
        unlucky = f"Share {number} of {service} could not be destroyed"
        if ended(ctx, current, services.drop, service, Uses(shares={service: number}), unlucky):
            current.forget_doomed(service, number)
            destroyed.append(f"destroyed share {number} of {service}")
    for service, number in current.doomed_logins:
        unlucky = f"A password of {service} could not be ended"
        if ended(ctx, current, services.retire, service, Uses(logins={service: number}), unlucky):
            current.forget_doomed_login(service, number)
            destroyed.append(f"ended login {number} of {service}")
    if destroyed:
        current.save()
    return destroyed


def ended(ctx, current: State, end, service: str, doomed: Uses, unlucky: str) -> bool:
    from . import service_folders

    try:
        end(ctx, service_folders.Asked(current.app, "", {}, current.uses.changed_by(doomed)), service)
    except (Failure, OSError) as problem:
        ctx.warning(f"{unlucky} now, the next update will: {problem}")
        return False
    return True
