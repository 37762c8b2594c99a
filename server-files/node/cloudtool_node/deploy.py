"""A new release: staged, provided for, started beside the old one, asked for its health, switched to.

Everything before the switch can fail without a visitor noticing. The switch is complete when the state is written;
a kill at any moment before leaves the old release, and recover.py takes the rest away.
"""

import time

from . import (
    basis,
    checker,
    checks,
    crons,
    files,
    front,
    health,
    hooks,
    lock,
    maintenance,
    moves,
    paths,
    places,
    processes,
    prune,
    recover,
    slots,
    state,
    users,
    values,
    waking,
)
from .context import Failure
from .session import require_program
from .stage import Manifest, Staged, stage
from .times import now


def deploy(ctx, payload) -> dict:
    require_program(ctx.request)
    order = Order(ctx.request)
    with lock.app(ctx, order.app, "deploy"):
        return Deployment(ctx, order, payload).run()


class Order:
    """The request, checked."""

    def __init__(self, request: dict):
        self.app = checks.app_name(request.get("app"))
        self.digest = checks.text(request.get("digest"), "The digest") or ""
        self.note = checks.text(request.get("note"), "The note")
        self.expect = request.get("expect")
        self.force = bool(request.get("force"))
        self.locations = checks.locations(request.get("locations"))
        self.settings = checks.settings(request.get("settings"))
        self.manifest = Manifest(request.get("manifest"))
        self.service_settings = checks.service_settings(request.get("service_settings"))
        self.elsewhere = places.checked(request.get("elsewhere"))
        self.own_services = checks.own_services(request.get("own_services"))
        self.keep = checks.whole_number(request.get("keep", 5), "keep", 2, 1000)
        self.slot_conf = request.get("slot_conf")
        if not isinstance(self.slot_conf, str) or "\0" in self.slot_conf or not checks.is_utf8(self.slot_conf):
            raise checks.bad("slot_conf is not a text.")


class Deployment:
    """One release on its way. A copy of another app's (copies.py) differs in where its files and data come from."""

    def __init__(self, ctx, order: Order, payload):
        self.ctx = ctx
        self.order = order
        self.payload = payload
        self.hooks_of: dict | None = order.settings
        self.started = time.monotonic()

    def run(self) -> dict:
        ctx, order = self.ctx, self.order
        with ctx.step("recover") as step:
            self.state = find_state(ctx, order.app)
            moves.require_here(self.state)
            mended = recover.recover(ctx, self.state)
            step.detail = ", ".join(mended) or None
        self.begin()
        return self.make_release()

    def make_release(self) -> dict:
        ctx, order = self.ctx, self.order
        basis.require(self.state, order.expect)
        self.locations = united(self.state.locations, order.locations)
        check_conflicts(self.state, order.locations)
        if self.is_live_already():
            return add_locations(ctx, self.state, self.locations)
        values.require(order.app, order.settings, self.values_wanted())
        self.release = self.state.next_release()
        self.was_live = self.state.live
        self.snapshot = None
        self.slot = self.state.idle_slot
        try:
            return self.build_and_switch()
        except BaseException as error:
            self.give_up(error)
            raise

    def build_and_switch(self) -> dict:
        ctx, order = self.ctx, self.order
        with ctx.step("stage") as step:
            self.staged = self.bring_files()
            step.detail = f"{self.staged.uploaded_files} new, {self.staged.linked} linked"
        self.launch = self.provide()
        self.launch.tell_secrets(ctx, order.app)
        self.launch.save(order.app)
        checker.run(ctx, self.state, self.slot, self.launch)
        self.prepare_data()
        candidate = start_candidate(ctx, self.state, self.slot, self.launch, self.locations, self.hooks_of)
        with ctx.step("health") as step:
            step.detail = str(candidate.check())
        files_count, size = len(order.manifest.files), order.manifest.bytes
        entry = {
            **self.entry("kept", None),
            "files": files_count,
            "bytes": size,
            "digest": order.digest,
            "timeout": order.settings["request_timeout"],
            "venv": self.launch.venv,
            "values": self.launch.values,
            "services": [service["name"] for service in order.settings["services"]],
            "platform": order.settings["platform"],
            "tls": order.settings["tls"],
            "idle_stop": order.settings["idle_stop"],
            "idle_ignore": order.settings["idle_ignore"],
        }
        added = switch(ctx, self.state, self.slot, self.release, self.routed(), entry)
        drain(ctx, self.state)
        processes.follow(ctx, self.state)
        with ctx.step("prune"):
            prune.prune(self.state, order.keep)
        return {
            **answer(self.state, added),
            "files": files_count,
            "uploaded": {"files": self.staged.uploaded_files, "bytes": self.staged.uploaded_bytes},
        }

    def values_wanted(self) -> dict[str, str]:
        return values.load(self.order.app, values.current(self.state))

    def begin(self) -> None:
        """What has to be written down before anything is made."""

    def routed(self) -> list[str]:
        """The locations that lead to the release from now on."""
        return self.locations

    def bring_files(self) -> Staged:
        order = self.order
        return stage(self.ctx, order.app, self.release, order.manifest, self.payload, self.state.kept)

    def provide(self) -> slots.Launch:
        """Packages, services and requirements of the release; an app that has none does not pay for them."""
        ctx, order = self.ctx, self.order
        settings = order.settings
        variables: dict[str, str] = {}
        secret_names: set[str] = set()
        shares: dict[str, int] = {}
        logins: dict[str, int] = {}
        venv = None
        wanted = [*platform_packages(settings), *crons.packages(settings), *settings["packages"]]
        if wanted:
            from . import packages

            with ctx.step("packages") as step:
                installed = packages.ensure(ctx, wanted)
                step.detail = f"installed {', '.join(installed)}" if installed else None
        crons.check_zones(settings)
        if settings["services"]:
            from . import service_folders, services

            with ctx.step("services"):
                service_folders.take_over(ctx, order.own_services)
                asked = service_folders.Asked.by(order.app, settings, self.state.uses)
                self.settle_places(asked)
                asked = self.take_over(asked)
                given = services.provision_all(ctx, asked, order.service_settings)
                places.begun(order.app, service_folders.lendable(asked), order.elsewhere)
                variables, secret_names = given.variables, given.secret_names
                shares, logins = service_folders.shares_of(asked), service_folders.logins_of(asked)
        if settings.get("requirements"):
            from . import requirements

            with ctx.step("requirements"):
                release_dir = paths.release(order.app, self.release)
                venv = requirements.ensure(ctx, order.app, release_dir, settings["requirements"])
        version = self.set_values()
        return slots.Launch(
            self.release, settings, order.slot_conf, variables, secret_names, venv, shares, logins, version
        )

    def set_values(self) -> str | None:
        """The version of what is set for the app that the release starts with."""
        return values.current(self.state)

    def settle_places(self, asked) -> None:
        from . import service_folders

        live = slots.load_launch(self.order.app, self.state.live) if self.state.live else None
        for place in self.order.elsewhere.values():
            self.ctx.secrets_in(place.get("url", ""))
        names = service_folders.lendable(asked)
        service_folders.require_places(asked, self.order.elsewhere)
        shares = {name: self.state.uses.share(name) for name in names}
        places.settle(self.order.app, shares, set(live.shares) if live else set(), self.order.elsewhere)

    def take_over(self, asked):
        """Data that a node which is lost had on another one: the app goes on with the share that is there."""
        if self.state.live:
            return asked
        from . import service_folders, services

        for name, place in self.order.elsewhere.items():
            if "taken_over" in place:
                self.state.take_up(name, services.share_there(self.ctx, service_folders.load(name), asked))
        places.inherit(self.order.app, {}, self.state.uses.shares)
        return service_folders.Asked.by(self.order.app, self.order.settings, self.state.uses)

    def prepare_data(self) -> None:
        """Keeps the data as they are, before the new release can change them. Nothing exchanges them while we hold the app."""
        live = slots.load_launch(self.order.app, self.state.live) if self.state.live else None
        # An app that uses no services does not pay for looking into them.
        if live is None or not live.settings["services"]:
            return
        from . import snapshots

        if snapshots.wanted(self.order.settings, live.settings):
            self.snapshot = snapshots.take(self.ctx, self.state, self.order.settings, live)

    def is_live_already(self) -> bool:
        entry = self.state.entry(self.state.live) if self.state.live else None
        return bool(entry and not self.order.force and self.order.digest and entry["digest"] == self.order.digest)

    def entry(self, result: str, message: str | None) -> dict:
        return {
            "release": self.release,
            "at": now(),
            "by": self.ctx.by,
            "note": self.order.note,
            "seconds": round(time.monotonic() - self.started, 3),
            "result": result,
            "message": message,
            "snapshot": self.snapshot,
        }

    def give_up(self, error: BaseException) -> None:
        """Takes away what there is of the release and writes down why; the old one was never touched."""
        if self.state.entry(self.release) is not None:
            return
        ctx = self.ctx
        message = error.message if isinstance(error, Failure) else type(error).__name__
        try:
            with ctx.shielded():
                self.state.record(self.entry("failed", ctx.redacted(message)))
                slots.kill(ctx, paths.app_unit(self.order.app, self.slot))
                recover.recover(ctx, self.state)
                self.state.save()
                prune.prune_snapshots(self.state)
        except (Failure, OSError) as second:
            ctx.warning(f"Not all of the failed release could be taken away now, the next update will: {second}")


def platform_packages(settings: dict) -> list[str]:
    """What the platform needs beyond a set-up node: nodes without PHP apps do not carry PHP."""
    acme = ["dehydrated"] if settings["tls"] else []
    if settings["platform"] == "php":
        return ["libapache2-mod-php", "php-cli", *acme]
    if settings["runner"] and settings["runner"]["kind"] == "paste":
        return ["python3-pastedeploy", *acme]
    return acme


def find_state(ctx, app: str) -> state.State:
    """The app's state; a new app gets its user, its directories and its ports."""
    found = state.load(app)
    users.ensure_app_user(ctx, app)
    if found is None:
        with lock.node(ctx):
            found = state.create(app)
    return found


def united(locations: list[str], more: list[str]) -> list[str]:
    return list(dict.fromkeys([*locations, *more]))


def check_conflicts(current: state.State, locations: list[str]) -> None:
    app = current.app
    for other in state.load_all():
        taken = [known for known in locations if known in other.locations and known not in current.locations]
        if other.app != app and taken:
            raise Failure(
                "conflict",
                f"{taken[0]} belongs to the app {other.app}.",
                f"cloudtool activate {taken[0]} {app} moves it, once {app} runs.",
            )


def start_candidate(ctx, current: state.State, slot: str, launch, locations: list[str], hooks_of=None):
    """Starts a release in the idle slot, with its update_fetch around it when `hooks_of` has its settings."""
    planned = current.copy()
    planned.fields["locations"] = locations
    entries = hooks_of["update_fetch"] if hooks_of else []
    first_fetch = next((number for number, entry in enumerate(entries) if "fetch" in entry), len(entries))
    if entries[:first_fetch]:
        # What ran in the slot drains while the scripts run.
        slots.put_away_waking(ctx, current.app, slot)
        slots.configure(planned, slot, launch)
        with ctx.step("hooks"):
            for entry in entries[:first_fetch]:
                hooks.run_script(ctx, planned, slot, launch, entry["script"])
    with ctx.step("start"):
        slots.put_away(ctx, current.app, slot)
        slots.configure(planned, slot, launch)
        slots.limit_memory(ctx, planned, slot, launch.settings["memory"])
        candidate = health.Candidate(ctx, planned, slot, launch)
        candidate.start()
    if entries[first_fetch:]:
        with ctx.step("hooks"):
            for entry in entries[first_fetch:]:
                if "fetch" in entry:
                    hooks.fetch(ctx, candidate, entry["fetch"])
                else:
                    hooks.run_script(ctx, planned, slot, launch, entry["script"])
        candidate.restart_clock()
    return candidate


def switch(
    ctx, current: state.State, slot: str, release: str, locations: list[str], entry=None, uses=None
) -> list[str]:
    """Routes the app's locations to a slot: map file, running map, state. Gives the locations that are new. From now on
    the app uses what `uses` says. When it is the live release that moves to another slot, the previous one stays what it was.

    Both slots run until the state is written, so a kill between any two of the three leaves a release that serves
    whole; the next recover makes the map again from the state.
    """
    with ctx.step("switch"):
        planned = current.copy()
        if entry:
            planned.record(entry)
        if release == current.live and slot != current.live_slot:
            planned.fields["slots"][current.live_slot] = current.previous
        if uses:
            planned.adopt(uses)
        planned.switch(slot, release, ctx.by, locations)
        planned.awake = slot != current.live_slot
        if slot != current.live_slot:
            processes.end_soon(ctx, current.app)
        with lock.waking(ctx, current.app), lock.node(ctx):
            check_conflicts(current, locations)
            ctx.commit()
            try:
                maintenance.settle_page(ctx, planned)
                front.route(planned)
                planned.save()
                if planned.awake:
                    files.remove(paths.asleep(planned.app))
            except BaseException:
                restore_front()
                raise
    added = [location for location in locations if location not in current.locations]
    current.fields = planned.fields
    maintenance.remind(ctx, current)
    waking.watch(ctx, current)
    slots.look_after_certificate(ctx, current)
    return added


def restore_front() -> None:
    """The routes of the states as they are; what cannot be done now, the next recover does."""
    try:
        maps = front.desired(state.load_all())
        front.apply(maps)
        front.write_files(maps)
    except (Failure, OSError):
        pass


def drain(ctx, current: state.State) -> None:
    """The old release ends its requests by itself, and sleeps."""
    if current.previous is None:
        return
    with ctx.step("drain"):
        slots.sleep(ctx, current.app, current.idle_slot)


def add_locations(ctx, current: state.State, locations: list[str]) -> dict:
    """Nothing to build: the release is live already."""
    added = [location for location in locations if location not in current.locations]
    if added:
        added = switch(ctx, current, current.live_slot, current.live, locations)
    return {**answer(current, added), "unchanged": True, "files": 0, "uploaded": {"files": 0, "bytes": 0}}


def answer(current: state.State, added: list[str]) -> dict:
    return {
        "app": current.app,
        "release": current.live,
        "previous": current.previous,
        "slot": current.live_slot,
        "locations": current.locations,
        "added": added,
    }
