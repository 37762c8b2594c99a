"""`clone`: a copy of an app under another name, with its own user, secret, databases, files and locations.

An app is given away as two things in a store: a backup of its data, and its release. On the same node both go through a
directory of the node, to another node through the client (`export` there, `clone` here). The copy is a first release like any
other, but that its shares are filled and scrubbed before it starts: nobody can reach it earlier.
"""

import functools
import gzip
import json
import os
import tarfile

from . import activate, backup, checks, deploy, expiry, files, hooks, lock, moves, paths, places, remove, restore
from . import service_folders, services, slots, stage, state, staying, streams, users, values
from .context import Failure
from .local_store import LocalStore
from .session import require_program
from .state import Uses
from .store import object_name, open_store

SQL_LIMIT = 16 << 20


def export(ctx, payload) -> dict:
    app = checks.app_name(ctx.request.get("app"))
    with lock.app(ctx, app, "export"), lock.backup(ctx, app):
        current, store = restore.recovered(ctx, app), open_store(ctx, payload, app)
        given = give_all(ctx, current, store) if ctx.request.get("moving") else give(ctx, current, store)
        return {"app": app, **given}


def clone(ctx, payload) -> dict:
    require_program(ctx.request)
    order = Order(ctx.request)
    here = ctx.request.get("store") is None
    with activate.locked(ctx, {order.app, order.of} if here else {order.app}, "clone"):
        check_free(ctx, order.app)
        directory = paths.copies(order.app)
        # As long as it is there, what has the name and does not serve is an unfinished copy.
        files.make_directory(paths.COPIES, mode=0o700)
        os.mkdir(directory, 0o700)
        files.fsync_directory(paths.COPIES)
        files.remove(paths.borrowed(order.app))
        try:
            answer = from_here(ctx, order, directory) if here else from_elsewhere(ctx, order, payload)
        finally:
            # What arrives is unfinished until it has the newest data; what failed and could not be taken away, until it is.
            if not exists(order.app) or (serves(order.app) and not order.arriving):
                files.remove_tree(directory)
        return answer


def from_here(ctx, order: "Order", directory: str) -> dict:
    store = LocalStore(directory, order.of)
    with lock.backup(ctx, order.of):
        given = give(ctx, restore.recovered(ctx, order.of), store)
    return made(Copying(ctx, order, store, given))


def from_elsewhere(ctx, order: "Order", payload) -> dict:
    return made(Copying(ctx, order, open_store(ctx, payload, order.of), checks.exported(ctx.request)))


def exists(app: str) -> bool:
    return state.load(app) is not None or remove.has_data(app)


def serves(app: str) -> bool:
    found = state.load(app)
    return bool(found and found.live)


class Order:
    """The request, checked."""

    def __init__(self, request: dict):
        self.app = checks.app_name(request.get("app"))
        self.of = checks.app_name(request.get("of"))
        if self.app == self.of and request.get("store") is None:
            raise checks.bad("A copy on the same node needs another name.")
        self.locations = checks.locations(request.get("locations"))
        self.service_settings = checks.service_settings(request.get("service_settings"))
        self.own_services = request.get("own_services")
        self.elsewhere = request.get("elsewhere")
        self.keep = checks.whole_number(request.get("keep", 5), "keep", 2, 1000)
        self.ttl = request.get("ttl")
        if self.ttl is not None:
            checks.whole_number(self.ttl, "ttl", 60, 366 * 86400)
        # It is the app itself that comes: it keeps its name and its secret, and gets its locations when it is whole.
        self.arriving = bool(request.get("arriving"))
        self.scrub = request.get("scrub")
        if self.scrub is not None:
            checks.scrub(self.scrub, SQL_LIMIT)


def made(copying: "Copying") -> dict:
    answer = copying.run()
    asked = service_folders.Asked.by(answer["app"], copying.order.settings, Uses())
    expires = copying.state.fields.get("expires")
    return {**answer, "expires": expires, "left_out": list(service_folders.left_out(asked))}


def check_free(ctx, app: str) -> None:
    """The name is nobody's. What a copy left that was killed goes."""
    found = state.load(app)
    unfinished = os.path.isdir(paths.copies(app))
    if found is None and not unfinished:
        if remove.has_data(app) and not os.path.exists(paths.borrowed(app)):
            raise Failure(
                "conflict",
                f"There is no app {app} on the node, but its data are.",
                f"Choose another name, or destroy them: cloudtool remove {app} --with-data",
            )
        return
    if found and found.moved_to:
        raise Failure(
            "conflict",
            f"{app} has moved from here to {found.moved_to}, and its requests are still sent on.",
            f"When none come any more: cloudtool remove {app} --with-data --node NODE",
        )
    if found and not (found.fields.get("arriving") if found.live else unfinished):
        raise Failure("conflict", f"There is an app {app} already.", "A copy needs a name of its own.")
    with ctx.shielded():
        remove.take_away(ctx, app, found, with_data=True)


def give_all(ctx, current: state.State, store) -> dict:
    """The same of an app that moves: its secret too, and how to get at what stays where it is."""
    asked = service_folders.Asked.by(current.app, moves.require_live(current).settings, current.uses)
    given = give(ctx, current, store, remember=True, stays=staying.names(asked))
    exported = given["exported"]
    release = exported["object"]["name"]
    exported["secret"] = give_secret(ctx, current, store, release)
    exported["staying"] = staying.give(ctx, asked, store, beside(release, "staying"))
    return {**given, "staying": staying.uses(asked)}


def give(ctx, current: state.State, store, remember=False, stays: frozenset[str] = frozenset()) -> dict:
    """Puts a backup of an app's data and its live release into a store. Gives what `Copying` has to know of them."""
    launch = moves.require_live(current)
    launch.tell_secrets(ctx, current.app)
    taken = None
    with_data = service_folders.with_data(service_folders.Asked.by(current.app, launch.settings, Uses()), stays)
    if with_data:
        taken = backup.Taking(ctx, store, current, launch, [], doing="copy", remember=remember, stays=stays).run()
    with ctx.step("copy release") as step:
        name = f"{taken['id'] if taken else backup.unused_id(store.list())}.release.zst"
        what = "The release could not be read"
        about = streams.put(ctx, store, name, what, functools.partial(pack, ctx, current.app, launch.release), [])
        step.detail = launch.release
    manifest = files.read_bytes(paths.manifest(current.app, launch.release)) or b"{}"
    return {
        "exported": {
            **give_values(ctx, current, store, name),
            "release": launch.release,
            "digest": current.entry(launch.release)["digest"],
            "settings": launch.settings,
            "slot_conf": launch.slot_conf,
            "manifest": json.loads(manifest),
            "object": {"name": name, **about},
        },
        "backup": taken["id"] if taken else None,
        # These are not copied whole when it is done again.
        "directories": [service.name for service in with_data if service.data],
    }


def give_values(ctx, current: state.State, store, release: str) -> dict:
    """What was set for the app goes along: a copy runs as the app does."""
    said = values.load(current.app, values.current(current))
    if not said:
        return {}
    text = json.dumps(said).encode()
    return {"values": streams.put_text(ctx, store, beside(release, "values"), "What was set could not be read", text)}


def give_secret(ctx, current: state.State, store, release: str) -> dict:
    """An app that moves keeps its secret: what it has signed stays valid."""
    secret = files.read_bytes(paths.app_secret(current.app)) or b""
    return streams.put_text(ctx, store, beside(release, "secret"), "The secret could not be read", secret)


def beside(release: str, part: str) -> str:
    """The name of another object of the same export, by that of the release."""
    return release.replace(".release.", f".{part}.")


def pack(ctx, app: str, release: str, out) -> None:
    """The contents of a release as the payload of `deploy` has them, each once."""
    out.write(gzip.compress(b""))
    contents = {sha256: path for (sha256, _), path in stage.have(app, [release]).items()}
    for sha256, path in contents.items():
        ctx.check_aborted()
        with open(path, "rb") as file:
            about = tarfile.TarInfo(sha256)
            about.size = os.fstat(file.fileno()).st_size
            out.write(about.tobuf(tarfile.GNU_FORMAT))
            while data := file.read(stage.CHUNK):
                out.write(data)
            out.write(bytes(-about.size % tarfile.BLOCKSIZE))
    out.write(bytes(2 * tarfile.BLOCKSIZE))


class Copying(deploy.Deployment):
    """The first release of a copy."""

    def __init__(self, ctx, order: Order, store, given: dict):
        release = given["exported"]
        request = {
            "app": order.app,
            "digest": release["digest"],
            "note": f"a copy of {order.of} {release['release']}",
            "expect": {"live": None},
            "force": True,
            "locations": order.locations,
            "settings": release["settings"],
            "slot_conf": release["slot_conf"],
            "manifest": release["manifest"],
            "service_settings": order.service_settings,
            "own_services": order.own_services,
            "elsewhere": order.elsewhere,
            "keep": order.keep,
        }
        super().__init__(ctx, deploy.Order(request), None)
        # What is new has been done to these data already.
        self.hooks_of = None
        self.copy = order
        self.store = store
        self.given = given

    def begin(self) -> None:
        """An end it has from the beginning."""
        self.state.fields["copy_of"] = self.copy.of
        if self.copy.arriving:
            self.state.fields["arriving"] = True
            self.take_secret(self.given["exported"]["secret"])
        if self.copy.ttl:
            self.state.fields["expires"] = expiry.schedule(self.ctx, self.order.app, self.copy.ttl)
        self.state.save()

    def settle_places(self, asked) -> None:
        """What arrives uses the shares that it has on other servers, with its logins there. A lender was asked by the client."""
        about = self.given["exported"].get("staying") if self.copy.arriving else None
        if about:
            addressed = staying.take(self.ctx, self.state, self.store, about)
            self.order.elsewhere |= places.checked(addressed)
        super().settle_places(asked)

    def routed(self) -> list[str]:
        """What arrives knows its locations already, and gets them with the newest data (hand_over.py)."""
        return [] if self.copy.arriving else self.locations

    def take_secret(self, about: dict) -> None:
        app = self.order.app
        secret = streams.get_text(self.ctx, self.store, about, "The secret could not be copied")
        files.write(paths.app_secret(app), secret, mode=0o640, gid=users.gid(app), durable=True)

    @functools.cached_property
    def values_given(self) -> dict[str, str]:
        about = self.given["exported"].get("values")
        what = "What was set could not be copied"
        text = streams.get_text(self.ctx, self.store, about, what) if about else b"{}"
        return values.check(json.loads(text))

    def values_wanted(self) -> dict[str, str]:
        return self.values_given

    def set_values(self) -> str | None:
        if not self.values_given:
            return None
        values.save(self.order.app, self.release, self.values_given)
        return self.release

    def bring_files(self) -> stage.Staged:
        about = self.given["exported"]["object"]
        staged = []

        def take(source) -> None:
            staged.append(stage.stage(self.ctx, self.order.app, self.release, self.order.manifest, source, []))

        what = "The release could not be copied"
        streams.get(self.ctx, self.store, object_name(about["name"]), about, what, take, None)
        return staged[0]

    def prepare_data(self) -> None:
        """The shares are the copy's own, and nobody uses them yet."""
        settings = self.order.settings
        if self.given["backup"]:
            filling = restore.Filling(self.ctx, self.store, self.given["backup"], self.order.app, self.launch)
            filling.fill(service_folders.Asked.by(self.order.app, settings, Uses()))
            if self.copy.arriving:
                filling.remember(paths.copies(self.order.app))
        if self.copy.scrub:
            with self.ctx.step("scrub"):
                try:
                    self.scrub()
                except Failure as failure:
                    failure.hint = "Nothing is left of the copy."
                    raise

    def scrub(self) -> None:
        """As the app's user, with its environment, in its sandbox: neither a script nor SQL can reach another app."""
        planned = self.state.copy()
        planned.fields["locations"] = self.locations
        slots.configure(planned, self.slot, self.launch)
        if "script" in self.copy.scrub:
            hooks.run_script(
                self.ctx, planned, self.slot, self.launch, self.copy.scrub["script"], "script to scrub with"
            )
            return
        service = self.database()
        argv = [services.script(service, "sql")]
        called = f"SQL to scrub {service.name} with"
        hooks.run_as_app(self.ctx, planned, self.slot, self.launch, argv, called, "scrub", self.copy.scrub["sql"])

    def database(self) -> service_folders.Service:
        known = service_folders.in_order([service["name"] for service in self.order.settings["services"]])
        found = [service for service in known if service.has("sql")]
        if len(found) != 1:
            names = ", ".join(service.name for service in found) or "none"
            raise Failure(
                "service",
                f"SQL goes into the one database of an app; those of {self.order.app} are: {names}.",
                "Scrub with a script of the release.",
            )
        return found[0]

    def give_up(self, error: BaseException) -> None:
        """Half a copy, or one that was not scrubbed, is none: all of it goes."""
        if self.state.live:
            return
        try:
            with self.ctx.shielded():
                slots.kill(self.ctx, paths.app_unit(self.order.app, self.slot))
                remove.take_away(self.ctx, self.order.app, self.state, with_data=True)
        except (Failure, OSError) as second:
            self.ctx.warning(f"Not all of the copy could be taken away, the next clone-app will: {second}")
