"""`restore`: a backup into new shares beside those in use, checked, then switched to. `verify` does the same up to the
switch, and destroys the shares again. `clear` switches to empty ones."""

import json
import os
import time

from . import (
    backup,
    checks,
    files,
    hooks,
    lock,
    lookup,
    moves,
    packages,
    records,
    recover,
    renew,
    service_folders,
    services,
    shares,
    slots,
    streams,
    trees,
    users,
)
from .context import Failure
from .state import Uses
from .store import object_name, open_store


def restore(ctx, payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "restore"), lock.backup(ctx, app):
        current = recovered(ctx, app)
        launch = moves.require_live(current)
        filling = Filling.asked(ctx, payload, current.app, launch)
        renew.renew(ctx, current, launch, filling.names, filling.fill)
        return {"app": app, "release": current.live, "backup": filling.manifest["id"], "services": filling.names}


def verify(ctx, payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    started = time.monotonic()
    with lock.app(ctx, app, "verify"), lock.backup(ctx, app):
        current = recovered(ctx, app)
        launch = moves.require_live(current)
        filling = Filling.asked(ctx, payload, current.app, launch)
        new = current.doom_next(filling.names, [])
        current.save()
        try:
            led = renew.provide(ctx, current, launch, new, filling.fill)
            run_check(ctx, current, led)
        finally:
            with ctx.shielded(), ctx.step("prune"):
                shares.destroy_doomed(ctx, current)
        seconds = round(time.monotonic() - started, 3)
        records.verified(app, filling.manifest["id"], seconds)
        return {"app": app, "backup": filling.manifest["id"], "counts": filling.counts, "seconds": seconds}


def run_check(ctx, current, led) -> None:
    """What the app says about a copy of its data: `check` of [backup] in app.ini, with the variables that lead to the copy."""
    script = (led.settings.get("backup") or {}).get("check")
    if not script:
        return
    slot = current.idle_slot
    with ctx.step("check"), slots.own_environment(current, slot, led, "verify") as environment:
        hooks.run_script(ctx, current, slot, led, script, "check script", environment)


def clear(ctx, _payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "clear"), lock.backup(ctx, app):
        current = recovered(ctx, app)
        launch = moves.require_live(current)
        asked = service_folders.Asked.by(app, launch.settings, current.uses)
        names = [service.name for service in service_folders.with_data(asked)]
        if not names:
            raise Failure("not-found", f"{app} has no services that keep data.")
        renew.renew(ctx, current, launch, names, renew.nothing, hooks=True)
        return {"app": app, "release": current.live, "services": names}


def recovered(ctx, app: str, arriving: bool = False):
    current = lookup.existing(app)
    moves.require_here(current, arriving)
    with ctx.step("recover") as step:
        step.detail = ", ".join(recover.recover(ctx, current)) or None
    return current


class Filling:
    """A backup on its way into shares."""

    @classmethod
    def asked(cls, ctx, payload, app: str, launch) -> "Filling":
        """What the request says."""
        identity = ctx.request.get("identity")
        if identity:
            ctx.secret(str(identity))
        of = checks.app_name(ctx.request.get("of") or app)
        return cls(ctx, open_store(ctx, payload, of), ctx.request.get("backup"), app, launch, identity)

    def __init__(self, ctx, store, wanted: str | None, app: str, launch, identity: str | None = None):
        self.ctx = ctx
        self.identity = identity
        self.store = store
        with ctx.step("read"):
            self.manifest = self.wanted_manifest(wanted)
        if self.manifest["app"] != store.app:
            raise Failure(
                "damaged", f"The backup {self.manifest['id']} is of {self.manifest['app']}, not of {store.app}."
            )
        if any(name.endswith(".age") for name in self.manifest["objects"]):
            streams.require_identity(self.identity)
            packages.ensure(ctx, ["age"])
        self.names = list(self.manifest["services"])
        self.counts: dict[str, dict] = {}
        # Of each directory that is filled: where it is, and what is in it; and of an earlier filling, see `remember`.
        self.filled: dict[str, tuple[str, list[dict]]] = {}
        self.earlier: dict[str, list] = {}
        asked = service_folders.Asked.by(app, launch.settings, Uses())
        known = [service.name for service in service_folders.with_data(asked)]
        missing = [name for name in self.names if name not in known]
        if missing:
            raise Failure(
                "conflict",
                f"The backup has data of {missing[0]}, which {app} does not use: it would be lost.",
                f"Add service.{missing[0]} to its app.ini and update it first.",
            )

    def wanted_manifest(self, wanted: str | None) -> dict:
        if wanted is not None:
            object_name(f"{wanted}.json")
            return backup.read_manifest(self.store, wanted)
        ids = backup.ids(self.store)
        if not ids:
            raise Failure("not-found", f"There is no backup of {self.store.app} at {self.store.name}.")
        return backup.read_manifest(self.store, ids[0])

    def fill(self, asked: service_folders.Asked) -> None:
        for service in service_folders.with_data(asked):
            if service.name not in self.names:
                continue
            with self.ctx.step(f"restore {service.name}"):
                told = self.manifest["services"][service.name]
                found = self.tree(service, asked, told) if service.data else self.load(service, asked, told)
                self.counts[service.name] = found
                compare(service.name, told["counts"], found)

    def load(self, service, asked, told) -> dict:
        environment = services.ready(self.ctx, service, asked)
        self.get(service, told["objects"][0], ([services.script(service, "load")], environment))
        text = services.run_script(self.ctx, service, "count", "could not be counted", environment)
        return backup.parse_facts(service, text)["counts"]

    def tree(self, service, asked, told) -> dict:
        """Filled where only root comes, so that nobody can lead a path elsewhere, then put into its place."""
        tree, *packs = told["objects"]
        place = services.data_directory(service, asked)
        root = services.loading(place)
        files.make_directory(root, mode=0o700)
        earlier = self.earlier.get(service.name)
        loader = trees.Loader(self.ctx, root, users.uid(asked.app), users.gid(asked.app), earlier)
        self.get(service, tree, loader.read_tree)
        for pack in reversed(packs):
            if earlier and not loader.wanted:
                break
            self.get(service, pack, loader.read_pack)
        counts = loader.finish()
        files.remove_tree(place)
        files.move(root, place)
        self.filled[service.name] = (place, loader.entries)
        return counts

    def remember(self, directory: str) -> None:
        """Writes down which files there are now, so that a later filling can take over those that did not change."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        told = {name: [place, trees.placed(place, entries)] for name, (place, entries) in self.filled.items()}
        files.write(f"{directory}/trees.json", json.dumps(told, separators=(",", ":")))

    def recall(self, directory: str) -> None:
        """Without that, everything comes from the backup."""
        self.earlier = json.loads(files.read_bytes(f"{directory}/trees.json") or b"{}")

    def get(self, service, name: str, sink) -> None:
        what = f"The service {service.name} could not be restored"
        streams.get(self.ctx, self.store, name, self.manifest["objects"][name], what, sink, self.identity)


def compare(name: str, expected: dict, found: dict) -> None:
    for what in sorted(expected.keys() | found.keys()):
        if expected.get(what) != found.get(what):
            raise Failure(
                "damaged",
                f"{name}: the backup has {expected.get(what, 0)} in {what}, restored were {found.get(what, 0)}.",
                "Nothing was changed. Take another backup.",
            )
