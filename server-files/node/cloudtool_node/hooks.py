"""update_fetch: what an app asks to be done with a new release before anybody sees it.

Scripts run as systemd units with the same user, sandbox and environment as the slot; fetches go to the new slot.
"""

import json
import os
import time

from . import files, health, http1, inside, paths, slots
from .context import Failure

BODY = 2000
FETCH_TIMEOUT = 3600


def run_script(
    ctx, state, slot: str, launch: slots.Launch, words: list[str], called: str = "update_fetch script", environment=None
) -> None:
    """One script of the release, with its words as they are: no shell has a part in it. `environment` is another file
    with variables than the slot's."""
    ctx.log("hook", "script: " + " ".join(words))
    argv = command(paths.release(state.app, launch.release), words, launch.settings["platform"], called)
    run_as_app(
        ctx, state, slot, launch, argv, f"{called} {words[0]}", f"script {json.dumps(words)}", environment=environment
    )


def run_as_app(
    ctx, state, slot: str, launch: slots.Launch, argv: list[str], called: str, logged: str, input=None, environment=None
) -> None:
    """A command as the app's user in its sandbox, with the environment of a slot that is configured."""
    started = time.monotonic()
    unit = paths.hook_unit(state.app)
    result = ctx.run(
        inside.unit(unit, state.app, slot, launch.release, argv, "--pipe", environment=environment),
        input=input,
        check=False,
        log="hook",
    )
    _write_log(ctx, state.app, logged, result.stdout + result.stderr, result.returncode)
    if result.returncode != 0:
        raise Failure(
            "hook",
            f"The {called} ended with status {result.returncode} after {time.monotonic() - started:.1f} s.",
            f"The whole output: cloudtool logs {state.app} --stream deploy",
            details={"log": (result.stdout + result.stderr).splitlines()[-health.LOG_LINES :]},
        )


def command(release_dir: str, words: list[str], platform: str, called: str) -> list[str]:
    """What to execute: the file itself, or the interpreter its name asks for where it is not executable."""
    path = os.path.realpath(f"{release_dir}/{words[0]}")
    if not path.startswith(os.path.realpath(release_dir) + "/") or not os.path.isfile(path):
        raise Failure("hook", f"The {called} {words[0]} is not a file of the release.")
    start = inside.start_of(f"{release_dir}/{words[0]}", platform)
    if start is None:
        raise Failure(
            "hook",
            f"The {called} {words[0]} is not executable.",
            f"chmod +x {words[0]}, or give it a name that ends with .py, .php or .sh.",
        )
    return [*start, *words[1:]]


def fetch(ctx, candidate: health.Candidate, path: str) -> None:
    """GETs a path of the new release, marked as the node's own by the app's secret."""
    state = candidate.state
    ctx.log("hook", f"fetch: {path}")
    with open(paths.app_secret(state.app)) as file:
        secret = file.read()
    try:
        answer = http1.get(
            candidate.port,
            path,
            {**health.headers(state), "X-Cloudtool-Update": secret},
            deadline=time.monotonic() + FETCH_TIMEOUT,
            tick=candidate.watch,
            limit=1 << 20,
        )
    except (OSError, http1.Closed, TimeoutError) as error:
        raise candidate.failure("hook", f"update_fetch {path} was not answered: {type(error).__name__}.") from error
    body = answer.body.decode("utf-8", "replace")
    _write_log(ctx, state.app, f"fetch {path}", body, answer.status)
    for line in body[:BODY].splitlines():
        ctx.log("hook", line)
    if not 200 <= answer.status < 400:
        raise candidate.failure("hook", f"update_fetch {path} was answered with {answer.status}.", answer)


def _write_log(ctx, app: str, what: str, output: str, status: int) -> None:
    """Keeps what a script or a fetch said, without the secrets in it."""
    from .times import now

    text = f"[{now()}] {what}\n{output}" + ("" if output.endswith("\n") or not output else "\n")
    text += f"[{now()}] status {status}\n"
    fd = files.open_foreign(f"{paths.logs(app)}/hooks.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if fd is None:
        return
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        os.fchown(fd, os.stat(paths.logs(app)).st_uid, -1)
        file.write(ctx.redacted(text))
