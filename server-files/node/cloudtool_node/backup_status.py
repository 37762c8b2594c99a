"""What there is to say of an app's backups."""

from . import records
from .state import State


def entry(look, found: State) -> dict | None:
    known = about(found.app)
    for warning in warnings(found.app, known):
        look.warn(**warning)
    taken, verified = known.get("taken"), known.get("verified")
    if taken is None and known["every"] is None and known["at"] is None:
        return None
    text = f"{taken['at']} to {taken['to']}" if taken else "none yet"
    text += f", verified {verified['at']}" if verified else ""
    return {"text": text, **known}


def about(app: str) -> dict:
    """What is planned, and what came of it."""
    plan = records.plan(app) or {}
    return {name: plan.get(name) for name in ("every", "at", "to", "keep")} | records.load(app)


def warnings(app: str, known: dict) -> list[dict]:
    found = []
    if failed := known.get("failed"):
        found.append(
            {
                "message": f"{app}: the last backup, at {failed['at']}, failed: {failed['message']}",
                "hint": f"cloudtool backup {app}",
            }
        )
    if known.get("taken") and not known.get("verified"):
        found.append(
            {
                "message": f"{app} has backups, and none was ever verified.",
                "hint": f"cloudtool verify-backup [DEST/]{app}",
            }
        )
    return found
