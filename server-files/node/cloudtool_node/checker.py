"""`config.checker` of app.ini: a function of the app that is called with its settings before a release that has them starts."""

from . import hooks, slots, values

CALL = """
import functools, importlib, os, sys
module, function, *names = sys.argv[1:]
functools.reduce(getattr, function.split("."), importlib.import_module(module))({name: os.environ[name] for name in names})
"""


def run(ctx, current, slot: str, launch: slots.Launch) -> None:
    wanted = launch.settings.get("config") or {}
    if not wanted.get("checker"):
        return
    names = sorted(wanted.get("default", {}) | values.load(current.app, launch.values))
    python = f"{launch.venv}/bin/python3" if launch.venv else "/usr/bin/python3"
    argv = [python, "-c", CALL, *wanted["checker"].split(":"), *names]
    called = f"config.checker {wanted['checker']}"
    with ctx.step("check settings"), slots.own_environment(current, slot, launch, "check") as environment:
        hooks.run_as_app(ctx, current, slot, launch, argv, called, called, environment=environment)
