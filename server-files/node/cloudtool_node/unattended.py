"""What systemd has the node program do, without a client. What it says goes to the journal."""

from . import audit, certificates, expiry, hand_over, sleeping
from .context import Context, Failure

PATIENCE = 86400


def idle() -> int:
    """Nobody asked for it, and it is over in a moment: it leaves no record."""
    ctx = Context.for_nobody("sleep", "idle_stop")
    try:
        sleeping.look(ctx)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0


def look_after_certificates(app: str | None = None) -> int:
    """Of one app, or of all that want some."""
    ctx = Context.for_nobody("certificates", app=app)
    try:
        certificates.settle(ctx, app) if app else certificates.settle_all(ctx)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0


def expire(app: str) -> int:
    return recorded("expire", app, expiry.end)


def guard(app: str) -> int:
    return recorded("guard", app, hand_over.watch)


def recorded(verb: str, app: str, work) -> int:
    ctx = Context.for_nobody(verb, app=app, lock_timeout=PATIENCE)
    try:
        work(ctx, app)
    except Failure as failure:
        print(ctx.redacted(failure.message))
        audit.record(ctx, failure.code, None)
        return 1
    audit.record(ctx, "ok", None)
    return 0
