"""`report`: everything about an app that helps whoever has to find out why it failed, without a secret. Reads only."""

import time

from . import changes, checks, doctor, failures, history, known_secrets, logs, lookup, paths, ps, releases, state
from .state import State

STREAMS = ["error", "process", "deploy"]
RELEASES = 10


def report(ctx, _payload) -> dict:
    """Visitors' requests are not in it: who they are is nobody's business."""
    current = found(ctx.request)
    app = current.app if current else ctx.request["app"]
    ctx.request |= {"app": app, "since": None}
    known_secrets.tell(ctx, app)
    failure = failures.load(app)
    told = {
        "failure": failure,
        "changed": changed(current, failure),
        "releases": releases.releases(ctx, None)["releases"][:RELEASES] if current else [],
        "processes": ps.ps(ctx, None)["processes"] if current and current.at_work else [],
        "history": history.history(ctx, None)["entries"],
        "log": log(ctx, app),
        **doctor.examine(ctx, [app]),
    }
    return {"app": app, "program": paths.program_version(), "time": time.time(), **ctx.redacted(told)}


def found(request: dict) -> State | None:
    """The app; or nothing, where its first release failed and nothing of it was left."""
    app = request.get("app")
    if isinstance(app, str) and checks.APP.fullmatch(app) and state.load(app) is None and failures.exists(app):
        return None
    return lookup.app_of(request)


def changed(current: State | None, failure: dict | None) -> dict | None:
    """Since the last release that was good: what the failed request would have changed, where that came after what serves; else what came
    with what serves."""
    if failure and (current is None or not current.live or failure["at"] >= current.fields["since"]):
        return failure["changed"]
    if current and current.live and current.previous:
        return changes.between(current.app, current.previous, current.live)
    return None


def log(ctx, app: str) -> list[dict]:
    """The last records of what the app, its processes and its updates printed, oldest first."""
    count = checks.whole_number(ctx.request.get("lines") or 100, "lines", 1, 10_000)
    keep = logs.chosen(None, None)
    records = [(record, log.stream) for log in logs.open_logs(app, STREAMS) for record in log.last(count, keep, None)]
    records.sort(key=lambda item: item[0].at or "")
    return [{"stream": stream, "at": record.at, "line": record.text} for record, stream in records[-count:]]
