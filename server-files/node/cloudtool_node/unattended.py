"""What systemd has the node program do, without a client: `expire APP`, `guard APP`, `idle` and `certificates [APP]`. What it says goes to the journal."""

import os

from . import audit, certificates, expiry, hand_over, sleeping
from .context import Context, Failure, Writer

WORK = {"expire": expiry.end, "guard": hand_over.watch}
PATIENCE = 86400


def idle() -> int:
    """Nobody asked for it, and it is over in a moment: it leaves no record."""
    ctx = Context({"verb": "sleep", "by": "idle_stop"}, Writer(os.open(os.devnull, os.O_WRONLY)))
    try:
        sleeping.look(ctx)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0


def look_after_certificates(app: str | None) -> int:
    """Of one app, or of all that want some."""
    ctx = Context({"verb": "certificates", "by": "cloudtool", "app": app}, Writer(os.open(os.devnull, os.O_WRONLY)))
    try:
        certificates.settle(ctx, app) if app else certificates.settle_all(ctx)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0


def main(what: str, app: str) -> int:
    request = {"verb": what, "by": "cloudtool", "app": app, "lock_timeout": PATIENCE}
    ctx = Context(request, Writer(os.open(os.devnull, os.O_WRONLY)))
    try:
        WORK[what](ctx, app)
    except Failure as failure:
        print(ctx.redacted(failure.message))
        audit.record(ctx, failure.code, None)
        return 1
    audit.record(ctx, "ok", None)
    return 0
