"""What there is to say of an app's certificate."""

import time

from . import front
from .state import State

# One that ends in fewer days has not been renewed when it should have been.
SOON_DAYS = 21


def entry(look, found: State) -> dict | None:
    known = about(found)
    if known is None:
        return None
    for warning in warnings(found.app, known):
        look.warn(**warning)
    hosts, left = known.get("hosts") or [], known["days_left"]
    text = f"for {', '.join(hosts)}, {left} days" if hosts else "none that browsers trust"
    return {"text": text, **known}


def about(found: State) -> dict | None:
    """What is wanted, what there is, for how many days, and which of the app's own hosts have none."""
    if not found.tls:
        return None
    record = found.certificate()
    left = int((record["ends"] - time.time()) // 86400) if "ends" in record else None
    unsecured = [host for host in found.hosts() if not front.covers(record.get("hosts", []), host)]
    return {**found.tls, **record, "days_left": left, "unsecured": unsecured}


def warnings(app: str, known: dict | None) -> list[dict]:
    if known is None:
        return []
    told = [
        {
            "message": f"{app}: {host} has no certificate that browsers trust yet: {reason(host, known)}.",
            "hint": f"cloudtool status {app} says when it has.",
        }
        for host in known["unsecured"]
    ]
    left = known["days_left"]
    if left is not None and left < SOON_DAYS:
        own = known["kind"] == "own"
        hint = f"cloudtool update {app} with a newer one." if own else f"cloudtool logs {app} says why."
        told.append({"message": f"{app}: its certificate ends in {left} days.", "hint": hint})
    return told


def reason(host: str, known: dict) -> str:
    if known["kind"] == "own":
        return "it is not in the one that the app brings"
    if host.startswith("*."):
        return "no authority proves a wildcard by HTTP"
    if elsewhere := (known.get("elsewhere") or {}).get(host):
        return f"{elsewhere}; it has to lead to this node, at port 80"
    if failed := known.get("failed"):
        return f"{failed['message']}; it is tried again in an hour"
    return "it is being asked for"
