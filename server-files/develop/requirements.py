"""The virtual environment for a requirements file: `requirements.py APP_DIRECTORY FILE CACHE`. Prints where it is; nothing where
the file asks for nothing. Keyed by what the file says, as on a node, and shared by all apps that say the same."""

import contextlib
import fcntl
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/node")

from cloudtool_node import requirements
from cloudtool_node.context import Failure


def main(app, file, cache):
    listed = requirements.read(app, file)
    if not listed.anything:
        return
    venv = f"{cache}/{listed.key()}"
    os.makedirs(cache, exist_ok=True)
    with open(f"{venv}.lock", "w") as lock:
        # Another one may be building it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(f"{venv}/{requirements.COMPLETE}"):
            build(app, file, venv)
    print(venv)


def build(app, file, venv):
    shutil.rmtree(venv, ignore_errors=True)
    # With Debian's own wheel of pip, where it is: a copy of pip in each environment takes 2 s and 10 MB.
    wheel = (sorted(glob.glob("/usr/share/python-wheels/pip-*.whl")) or [""])[-1]
    bare = ["--without-pip"] if wheel else []
    run([sys.executable, "-m", "venv", "--system-site-packages", *bare, venv])
    pip = [f"{wheel}/pip"] if wheel else ["-m", "pip"]
    pip += ["install", "--no-input", "--disable-pip-version-check", "--progress-bar=off", "--requirement", file]
    try:
        run([f"{venv}/bin/python", *pip], cwd=app)
    except BaseException:
        shutil.rmtree(venv, ignore_errors=True)
        raise
    with open(f"{venv}/{requirements.COMPLETE}", "w"):
        pass


def run(words, **more):
    """Standard output is for the answer."""
    subprocess.run(words, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, **more)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        try:
            main(*sys.argv[1:])
        except Failure as failure:
            sys.exit(f"{failure.message} {failure.hint or ''}".strip())
        except subprocess.CalledProcessError as error:
            sys.exit(f"The requirements in {sys.argv[2]} could not be installed: status {error.returncode}")
