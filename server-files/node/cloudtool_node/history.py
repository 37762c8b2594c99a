"""`history`: who did what on the node, from its audit log."""

import json

from . import checks, logs, paths
from .log_files import Log


def history(ctx, _payload) -> dict:
    """The newest first."""
    app = checks.app_name(ctx.request["app"]) if ctx.request.get("app") else None
    count = checks.whole_number(ctx.request.get("lines") or 100, "lines", 1, 1_000_000)
    since = logs.moment(checks.text(ctx.request.get("since"), "since"))
    log = Log("audit", paths.AUDIT_LOG, read=lambda text: entry_line(text, app), whole_lines=True)
    found = log.last(count, logs.chosen(since, None), since)
    return {"entries": [json.loads(record.text.partition("] ")[2]) for record in reversed(found)]}


def entry_line(text: str, app: str | None) -> str | None:
    """An entry as a line of a log, when it is one, and about the app."""
    try:
        entry = json.loads(text)
        return f"[{entry['at']}] {text}" if app in (None, entry.get("app")) else None
    except (ValueError, KeyError, TypeError):
        return None
