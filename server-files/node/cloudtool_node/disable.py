"""`disable`: an app that goes on as it is, and whose visitors the front answers with 503; `enable` is the way back."""

from . import checks, front, lock, lookup, maintenance, moves, paths, recover
from .times import now


def disable(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    allow = checks.addresses(ctx.request.get("allow"))
    return change(ctx, app, {"at": now(), "by": ctx.by, "allow": allow})


def enable(ctx, _payload) -> dict:
    return change(ctx, checks.app_name(ctx.request.get("app")), None)


def change(ctx, app: str, disabled: dict | None) -> dict:
    front.require(paths.ALLOWED_MAP)
    with lock.app(ctx, app, "disable" if disabled else "enable"):
        current = lookup.existing(app)
        moves.require_here(current)
        recover.recover(ctx, current)
        was = current.disabled
        with ctx.step("switch"), lock.node(ctx):
            ctx.commit()
            current.fields["disabled"] = disabled
            if disabled:
                maintenance.settle_page(ctx, current)
            front.route(current)
            current.save()
            # The page goes when nobody is led to it any more.
            maintenance.settle_page(ctx, current)
        return {"app": app, "locations": current.locations, "was_disabled": was is not None, "disabled": disabled}
