"""`config`: other settings for an app, as a release that differs in nothing else. `configured` shows what is set."""

import gzip
import io
import json
import tarfile

from . import basis, checks, deploy, files, lock, lookup, moves, paths, recover, slots, values
from .context import Failure
from .state import State


def config(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    changes = values.check(ctx.request.get("set"))
    unset = checks.texts(ctx.request.get("unset"), "unset")
    for value in changes.values():
        ctx.setting(value)
    with lock.app(ctx, app, "config"):
        current = found(ctx, app)
        before = values.current(current)
        if ctx.request.get("back"):
            version = earlier(current, ctx.request.get("to"))
            wanted = values.load(app, version)
        else:
            version, wanted = None, changed(app, values.load(app, before), changes, unset)
        values.check_together(wanted)
        if wanted == values.load(app, before):
            return {**deploy.answer(current, []), "unchanged": True, "set": [], "unset": []}
        answer = set_before_the_first_release(current, wanted) if current.live is None else None
        if answer is None:
            answer = Configuring(ctx, current, wanted, version).make_release()
        return {**answer, **values.differences(values.load(app, before), wanted)}


def found(ctx, app: str) -> State:
    """The app, which need not have a release yet."""
    current = deploy.find_state(ctx, app)
    moves.require_here(current)
    with ctx.step("recover") as step:
        step.detail = ", ".join(recover.recover(ctx, current)) or None
    basis.require(current, ctx.request.get("expect"))
    return current


def changed(app: str, before: dict[str, str], changes: dict[str, str], unset: list[str]) -> dict[str, str]:
    unknown = [name for name in unset if name not in before]
    if unknown:
        known = ", ".join(sorted(before)) or "nothing"
        raise Failure("not-found", f"{unknown[0]} is not set for {app}; set are: {known}.")
    return {name: value for name, value in (before | changes).items() if name not in unset}


def earlier(current: State, to: str | None) -> str | None:
    """The version that a release ran with; without a name, the one before the last change."""
    if to is None:
        history = values.versions(current)
        if not history:
            raise Failure("not-found", f"Nothing was ever set for {current.app}.")
        return history[0][1]
    entry = current.entry(checks.release_id(to))
    if entry is None or entry["result"] == "failed":
        raise Failure("not-found", f"{current.app} knows no release {to}.", f"cloudtool config {current.app} history")
    return entry.get("values")


def set_before_the_first_release(current: State, wanted: dict[str, str]) -> dict:
    values.save(current.app, values.BEFORE_THE_FIRST_RELEASE, wanted)
    return deploy.answer(current, [])


class Configuring(deploy.Deployment):
    """A release that has the files and app.ini of the live one, and other values."""

    def __init__(self, ctx, current: State, wanted: dict[str, str], version: str | None):
        launch = moves.require_live(current)
        app, live = current.app, current.live
        request = {
            "app": app,
            "digest": current.entry(live)["digest"],
            "note": note(values.load(app, values.current(current)), wanted),
            "force": True,
            "settings": launch.settings,
            "slot_conf": launch.slot_conf,
            "manifest": json.loads(files.read(paths.manifest(app, live)) or "{}"),
            "keep": ctx.request.get("keep", 5),
        }
        super().__init__(ctx, deploy.Order(request), NothingNew())
        self.state = current
        # What is new in the code has been done to the data already.
        self.hooks_of = None
        self.wanted = wanted
        self.version = version

    def set_values(self) -> str | None:
        if self.version is None:
            self.version = self.release
            values.save(self.order.app, self.version, self.wanted)
        return self.version

    def values_wanted(self) -> dict[str, str]:
        return self.wanted

    def prepare_data(self) -> None:
        """Nothing runs that could change them."""


def note(old: dict[str, str], new: dict[str, str]) -> str:
    told = values.differences(old, new)
    parts = [f"{verb} {', '.join(names)}" for verb, names in told.items() if names]
    return f"config: {'; '.join(parts)}"[:200]


class NothingNew(io.BytesIO):
    """The payload of a release whose files are all here."""

    def __init__(self):
        super().__init__(gzip.compress(b"") + bytes(2 * tarfile.BLOCKSIZE))


def configured(ctx, _payload) -> dict:
    """What is set, and when it was changed. Values only when they are asked for."""
    reveal = bool(ctx.request.get("reveal"))
    current = lookup.existing(checks.app_name(ctx.request.get("app")))
    app, version = current.app, values.current(current)
    listed = []
    for name, value in sorted(values.load(app, version).items()):
        listed.append({"name": name, "digest": values.digest(app, value), **({"value": value} if reveal else {})})
    history = []
    for entry, before in values.versions(current):
        told = {key: entry.get(key) for key in ("release", "at", "by")}
        changes = values.differences(values.load(app, before), values.load(app, entry.get("values")))
        history.append({**told, **changes})
    launch = slots.load_launch(app, current.live) if current.live else None
    missing = values.missing(launch.settings, values.load(app, version)) if launch else []
    return {"app": app, "release": current.live, "values": listed, "history": history, "missing": missing}
