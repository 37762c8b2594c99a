"""What runs as an app beside its slots: systemd units with a slot's user, sandbox and environment."""

import os

from . import paths

SANDBOX = "# --- sandbox"
INTERPRETERS = {".py": "python3", ".php": "php", ".sh": "sh"}


def unit(name: str, app: str, slot: str, release: str, argv: list[str], *options: str, environment=None) -> list[str]:
    """The command that runs `argv` as the unit `name`, in the release's directory. `environment` is another file with
    variables than the slot's. No shell has a part in it."""
    return [
        "systemd-run",
        "--quiet",
        "--wait",
        "--collect",
        f"--unit={name}",
        f"--working-directory={paths.release(app, release)}",
        f"--property=EnvironmentFile={environment or paths.slot_env(app, slot)}",
        *(f"--property={line}" for line in sandbox(app, slot)),
        *options,
        "--",
        # systemd puts variables in the place of $NAME, and $ in that of $$.
        *(word.replace("$", "$$") for word in argv),
    ]


def sandbox(app: str, slot: str) -> list[str]:
    """The properties of the slot's unit that are fenced off for this in its text."""
    with open(f"{paths.PROGRAM}/systemd/cloudtool-app-{slot}@.service") as file:
        _, _, text = file.read().partition(SANDBOX)
    return [line.replace("%i", app) for line in text.splitlines() if "=" in line]


def start_of(path: str, platform: str) -> list[str] | None:
    """What executes a file: itself, or the interpreter its name asks for where it is not executable, if there is one."""
    if os.stat(path).st_mode & 0o100:
        return [path]
    ending = os.path.splitext(path)[1]
    interpreter = INTERPRETERS.get(ending) or ("php" if platform == "php" else None)
    return ["/usr/bin/env", interpreter, path] if interpreter else None
