"""`backup`: every service of an app, streamed to a store; the manifest comes last. `backups` lists them.

Databases come first, each from one snapshot, and directories after them: a file that a row speaks of is there.
"""

import hashlib
import json
import os
import tempfile
import time

from . import (
    checks,
    files,
    keep,
    lock,
    lookup,
    moves,
    packages,
    paths,
    records,
    service_folders,
    services,
    staying,
    streams,
    sweep,
    trees,
)
from .context import Failure
from .store import OBJECT, open_store
from .times import now

FORMAT = 1
MANIFEST_LIMIT = 64 << 20


def backup(ctx, payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    recipients = checks.age_recipients(ctx.request.get("recipients") or [])
    rules = keep.parse(ctx.request.get("keep"))
    scheduled = bool(ctx.request.get("scheduled"))
    with lock.backup(ctx, app):
        current = lookup.existing(app)
        try:
            store = open_store(ctx, payload, app)
            manifest = take(ctx, store, current, recipients)
            records.taken(app, manifest, store.name, scheduled)
            pruned = []
            with ctx.step("prune"):
                if rules:
                    pruned = keep.prune(ctx, store, rules, manifests(store))
                # Nothing of an archive was there before it.
                if not store.once:
                    sweep.sweep(ctx, store)
        except (Failure, OSError) as problem:
            if not ctx.aborting():
                records.failed(app, ctx.redacted(str(problem)), scheduled)
            raise
        return {"app": app, "backup": manifest, "pruned": pruned}


def take(ctx, store, current, recipients: list[str]) -> dict:
    # Of an app on its way here, too: if the other node is lost, this is how what has come is saved.
    launch = moves.require_live(current, arriving=True)
    asked = service_folders.Asked.by(current.app, launch.settings, current.uses)
    stays = frozenset() if current.owns_elsewhere else staying.names(asked)
    launch.tell_secrets(ctx, current.app)
    if recipients:
        packages.ensure(ctx, ["age"])
    return Taking(ctx, store, current, launch, recipients, stays=stays).run()


def backups(ctx, payload) -> dict:
    """Of one app, or of all that have some at a store which can say so."""
    asked = ctx.request.get("app")
    apps = [checks.app_name(asked)] if asked is not None else open_store(ctx, payload, "").apps()
    found, broken = [], []
    for app in apps:
        store = open_store(ctx, payload, app)
        for backup_id in ids(store):
            try:
                found.append(read_manifest(store, backup_id))
            except Failure as failure:
                # One that cannot be read hides no other.
                if failure.code not in ("damaged", "unsupported"):
                    raise
                broken.append(failure.message)
    return {"app": asked, "backups": found, "broken": broken}


def manifests(store) -> list[dict]:
    """All that are whole, the newest first."""
    return [read_manifest(store, backup_id) for backup_id in ids(store)]


def ids(store) -> list[str]:
    """Of all that have a manifest, the newest first."""
    names = (name for name in store.list() if name.endswith(".json"))
    return sorted((name.removesuffix(".json") for name in names), reverse=True)


def read_manifest(store, backup_id: str) -> dict:
    data = store.read_whole(f"{backup_id}.json", MANIFEST_LIMIT)
    try:
        manifest = json.loads(data)
        checked(manifest, backup_id)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(
            "damaged", f"{backup_id}.json at {store.name} is no manifest of a backup.", "Take another one."
        ) from None
    return manifest


def checked(manifest: dict, backup_id: str) -> None:
    """A manifest from outside: only what it names and how is believed."""
    if manifest["format"] != FORMAT:
        raise Failure("unsupported", f"The backup {backup_id} has format {manifest['format']}, we know {FORMAT}.")
    if manifest["id"] != backup_id:
        raise ValueError
    checks.app_name(manifest["app"])
    for name, about in manifest["objects"].items():
        if not OBJECT.fullmatch(name) or not checks.SHA256.fullmatch(about["sha256"]) or not about["bytes"] >= 0:
            raise ValueError
    for name, about in manifest["services"].items():
        if not checks.SERVICE.fullmatch(name) or not set(about["objects"]) <= manifest["objects"].keys():
            raise ValueError


class Taking:
    """One backup as it is taken."""

    def __init__(
        self,
        ctx,
        store,
        current,
        launch,
        recipients: list[str],
        doing: str = "back up",
        remember=True,
        stays: frozenset[str] = frozenset(),
    ):
        self.ctx = ctx
        # Whether another one follows at this store, which need not read again what did not change.
        self.remember = remember and not store.once
        self.doing = doing
        self.store = store
        self.current = current
        self.app = current.app
        self.asked = service_folders.Asked.by(current.app, launch.settings, current.uses)
        # The services whose data are not to be taken along (staying.py).
        self.stays = stays
        self.recipients = recipients
        self.present = store.list()
        self.id = unused_id(self.present)
        self.started = time.monotonic()
        self.at = now()
        self.objects: dict[str, dict] = {}
        self.indexes: dict[str, dict] = {}

    def run(self) -> dict:
        found = service_folders.with_data(self.asked, self.stays)
        if not found:
            raise Failure("not-found", f"{self.app} has no services that keep data.", "See service.NAME in app.ini.")
        told = {}
        for service in sorted(found, key=lambda service: bool(service.data)):
            with self.ctx.step(f"{self.doing} {service.name}") as step:
                told[service.name] = self.tree(service) if service.data else self.dump(service)
                step.detail = size_of(self.objects, told[service.name]["objects"], self.id)
        manifest = self.manifest(told)
        with self.store.writer(f"{self.id}.json") as writer:
            writer.write(json.dumps(manifest, indent=1).encode() + b"\n")
            writer.commit()
        for name, index in self.indexes.items() if self.remember else ():
            write_index(self.app, name, self.store.name, index)
        return manifest

    def dump(self, service) -> dict:
        name = self.object_name(service, "")
        environment = services.ready(self.ctx, service, self.asked)
        with tempfile.TemporaryDirectory(dir=paths.RUN) as directory:
            facts = f"{directory}/facts"
            source = ([services.script(service, "dump")], environment | {"CLOUDTOOL_FACTS": facts})
            what = f"The service {service.name} could not be backed up"
            self.objects[name] = streams.put(self.ctx, self.store, name, what, source, self.recipients)
            return {**parse_facts(service, files.read(facts) or ""), "objects": [name]}

    def tree(self, service) -> dict:
        root = services.data_directory(service, self.asked)
        index = {} if self.store.once else read_index(self.app, service.name, self.store.name)
        known = {
            sha256: pack
            for sha256, pack in index.get("packs", {}).items()
            if self.present.get(pack) == index["objects"].get(pack, {}).get("bytes")
            # What is to be encrypted now must not rest on what was not, or for others.
            and index.get("recipients") == self.recipients
        }
        pack = self.object_name(service, ".pack")
        dumper = trees.Dumper(self.ctx, root, pack, index.get("files", {}), known)
        what = f"{root} could not be backed up"
        # Whether there is anything new is known only afterwards; a pack with nothing in it is not kept.
        self.objects[pack] = streams.put(self.ctx, self.store, pack, what, dumper.write_pack, self.recipients)
        tree = self.object_name(service, ".tree")
        self.objects[tree] = streams.put(self.ctx, self.store, tree, what, dumper.write_tree, self.recipients)
        if dumper.left_out:
            self.ctx.warning(f"{dumper.left_out} sockets, pipes or devices in {root} are not in the backup.")
        packs = dumper.packs()
        if pack not in packs:
            self.store.delete(pack)
            del self.objects[pack]
        for name in packs:
            self.objects.setdefault(name, index.get("objects", {}).get(name))
        self.indexes[service.name] = {
            "recipients": self.recipients,
            "files": dumper.next_index,
            "packs": {e["sha256"]: known.get(e["sha256"], pack) for e in dumper.entries if "sha256" in e},
            "objects": {name: self.objects[name] for name in packs},
        }
        return {"counts": dumper.counts(), "objects": [tree, *packs]}

    def object_name(self, service, part: str) -> str:
        return f"{self.id}.{service.name}{part}.zst{'.age' if self.recipients else ''}"

    def manifest(self, told: dict) -> dict:
        entry = self.current.entry(self.current.live)
        return {
            "format": FORMAT,
            "id": self.id,
            "app": self.app,
            "at": self.at,
            "by": self.ctx.by,
            "node": os.uname().nodename,
            "release": self.current.live,
            "digest": entry["digest"] if entry else None,
            "program": paths.program_version(),
            "seconds": round(time.monotonic() - self.started, 3),
            "recipients": self.recipients,
            "services": told,
            "left_out": service_folders.left_out(self.asked)
            | dict.fromkeys(sorted(self.stays), "it is on another server"),
            "objects": self.objects,
        }


def parse_facts(service, text: str) -> dict:
    """What `dump` and `count` say: {"version": text, "counts": {name: number}}."""
    try:
        facts = json.loads(text)
        counts = {str(name): int(number) for name, number in facts["counts"].items()}
        return {"version": str(facts["version"]), "counts": counts}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure("service", f"services/{service.name}/dump did not say what it has dumped.") from None


def unused_id(present: dict[str, int]) -> str:
    """The time, and where two of a second meet, the next second."""
    taken = {name.partition(".")[0] for name in present}
    seconds = int(time.time())
    while (backup_id := time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))) in taken:
        seconds += 1
    return backup_id


def size_of(objects: dict, names: list[str], backup_id: str) -> str:
    size = sum(objects[name]["bytes"] for name in names if name.startswith(backup_id))
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def index_path(app: str, service: str, store_name: str) -> str:
    return f"{paths.backups(app)}/{hashlib.sha256(store_name.encode()).hexdigest()[:16]}.{service}.json"


def read_index(app: str, service: str, store_name: str) -> dict:
    """What the last backup to this store has of a directory. It only saves work: without it everything is read."""
    try:
        return json.loads(files.read_bytes(index_path(app, service, store_name)) or b"{}")
    except ValueError:
        return {}


def write_index(app: str, service: str, store_name: str, index: dict) -> None:
    os.makedirs(paths.backups(app), mode=0o700, exist_ok=True)
    files.write(index_path(app, service, store_name), json.dumps(index, separators=(",", ":")))
