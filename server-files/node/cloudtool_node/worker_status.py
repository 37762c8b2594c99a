"""What there is to say of an app's processes and cron jobs."""

from . import processes, ps, query
from .state import State


def of_processes(look, found: State) -> dict | None:
    made = {processes.title(unit): ps.one(look.units.get(unit, {})) for unit in processes.known(found.app)}
    for warning in process_warnings(found.app, [{"process": name, **about} for name, about in made.items()]):
        look.warn(**warning)
    text = ", ".join(f"{name} {about['state']}{memory(about)}" for name, about in made.items())
    return {"text": text, "all": made} if made else None


def memory(about: dict) -> str:
    return f" with {about['memory_mb']:.0f} MB" if about["memory_mb"] else ""


def of_crons(look, found: State) -> dict | None:
    made = query.crons_of(look.ctx, found.app)
    for warning in cron_warnings(found.app, made):
        look.warn(**warning)
    text = ", ".join(f"{cron['cron']} {described(cron.get('last'))}" for cron in made)
    return {"text": text, "all": made} if made else None


def described(last: dict | None) -> str:
    return f"{last['result']} at {last['at']}" if last else "did not run yet"


def process_warnings(app: str, known: list[dict]) -> list[dict]:
    """Of those that fail again and again."""
    return [
        {"message": f"{app}: {about['process']} {about['note']}.", "hint": f"cloudtool logs {app} --stream process"}
        for about in known
        if about["state"] == "waiting"
    ]


def cron_warnings(app: str, known: list[dict]) -> list[dict]:
    return [
        {
            "message": f"{app}: the cron job {cron['cron']} failed at {cron['last']['at']}: {cron['last']['message']}",
            "hint": f"cloudtool logs {app} --stream process",
        }
        for cron in known
        if cron.get("last", {}).get("result") == "failed"
    ]
