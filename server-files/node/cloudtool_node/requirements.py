"""The virtual environment of a release: built once for what a requirements file says, shared by all releases that say
the same, and read-only for the app.

pip runs code of packages it builds, so it runs as the app's user in a sandbox that can write nothing but the new
directory and the app's cache.
"""

import contextlib
import glob
import hashlib
import os
import platform
import re
import shutil
import stat

from . import files, paths, users
from .context import Failure

# Changing how environments are built makes new ones.
FORMAT = "1"
COMPLETE = ".cloudtool-complete"
BUILD_SECONDS = 1800
INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?=[^\s-]))(\S+)")
EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(\S+)")
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Settings of pip and of the network that an admin has made for the node.
PASSED_ON = re.compile(r"(PIP_[A-Z_]+|(https?|ftp|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE)", re.IGNORECASE)
# The constant script that builds. With Debian's own wheel of pip: a copy of pip in each environment takes 2 s and 10 MB.
BUILD = """
set -eu
venv=$1 wheel=$2 requirements=$3
if [ -n "$wheel" ]; then
    /usr/bin/python3 -m venv --system-site-packages --without-pip "$venv"
    set -- "$wheel/pip"
else
    /usr/bin/python3 -m venv --system-site-packages "$venv"
    set -- -m pip
fi
exec "$venv/bin/python" "$@" install --no-input --disable-pip-version-check --no-warn-script-location --progress-bar off \
    --requirement "$requirements"
"""


def ensure(ctx, app: str, release_dir: str, file: str) -> str | None:
    """The path of the environment for `file` of the release; None when the file asks for nothing."""
    listed = read(release_dir, file)
    if not listed.anything:
        return None
    venv = f"{paths.venvs(app)}/{listed.key()}"
    if os.path.exists(f"{venv}/{COMPLETE}"):
        return venv
    ctx.secrets_in(listed.text)
    build(ctx, app, release_dir, file, venv)
    return venv


class Listed:
    """What a requirements file says, with all it includes."""

    def __init__(self):
        self.anything = False
        self.text = ""
        self.digest = hashlib.sha256()
        self.seen = set()

    def add(self, name: str, content: bytes) -> None:
        self.digest.update(f"\n{name} {len(content)}\n".encode() + content)

    def key(self) -> str:
        about = f"{FORMAT} {platform.python_version()} {platform.machine()}".encode()
        return hashlib.sha256(about + self.digest.digest()).hexdigest()[:24]


def read(release_dir: str, file: str) -> Listed:
    listed = Listed()
    _read_file(listed, release_dir, file, constraints=False)
    return listed


def _read_file(listed, root, name, constraints):
    path = _inside(root, name)
    if path in listed.seen:
        return
    listed.seen.add(path)
    content = files.read_bytes(path)
    if content is None:
        raise Failure(
            "requirements", f"The release has no file {name}.", "Correct requirements in app.ini, or add the file."
        )
    listed.add(name, content)
    text = content.decode("utf-8", "replace")
    listed.text += text
    for number, line in logical_lines(text):
        include = INCLUDE.match(line)
        editable = EDITABLE.match(line)
        if include:
            if not ADDRESS.match(include[1]):
                below = os.path.normpath(os.path.join(os.path.dirname(name), include[1]))
                is_constraints = constraints or line.startswith(("-c", "--constraint"))
                _read_file(listed, root, below, is_constraints)
            continue
        if editable and not ADDRESS.match(editable[1]):
            raise Failure(
                "requirements",
                f"{name}:{number}: an editable installation points into one release, and environments are shared by releases.",
                f"Write {editable[1]} without -e, or put the code into lib/python, which is on the path.",
            )
        if line.startswith("-") and not editable:
            continue
        listed.anything = listed.anything or not constraints
        _read_local(listed, root, line)


def _read_local(listed, root, line):
    """A requirement that is a path is keyed by what is there, not by its name."""
    path = line.split(";")[0].split("[")[0].strip()
    path = path.rpartition("@")[2].strip().removeprefix("file:") if "@ file:" in path else path
    if not path.startswith((".", "/")) and "/" not in path or ADDRESS.search(path):
        return
    where = _inside(root, path)
    if os.path.isfile(where):
        listed.add(path, files.read_bytes(where))
    for directory, below, names in os.walk(where):
        below.sort()
        for name in sorted(names):
            full = os.path.join(directory, name)
            if os.path.isfile(full):
                listed.add(os.path.relpath(full, root), files.read_bytes(full))


def _inside(root, name):
    path = os.path.realpath(os.path.join(root, name))
    if not path.startswith(os.path.realpath(root) + os.sep) and path != os.path.realpath(root):
        raise Failure(
            "requirements", f"{name} is outside of the app.", "Put what is required into the app's directory."
        )
    return path


def logical_lines(text: str):
    """(number, line) without comments, empty lines and continuations, as pip reads them."""
    start, whole = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not whole:
            start = number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            whole += line[:-1] + " "
            continue
        whole = re.sub(r"(^|\s+)#.*$", "", whole + line).strip()
        if whole:
            yield start, whole
        whole = ""
    if whole.strip():
        yield start, whole.strip()


def build(ctx, app: str, release_dir: str, file: str, venv: str) -> None:
    """Builds beside nothing: an environment knows its own path. Until it has the marker it is thrown away by the next run."""
    owner = users.gid(app)
    unit = f"cloudtool-build-{app}.service"
    cache = f"{paths.app(app)}/cache"
    # A build that outlived the program that had started it.
    stop(ctx, unit)
    if os.path.lexists(venv):
        shutil.rmtree(venv)
    uid = _uid(app)
    files.make_directory(paths.venvs(app), mode=0o750, gid=owner)
    files.make_directory(venv, mode=0o750, uid=uid, gid=owner)
    files.make_directory(cache, mode=0o700, uid=uid, gid=owner)
    environment = f"{paths.RUN}/build-{app}.env"
    files.make_directory(paths.RUN)
    files.write(environment, environment_file(cache))
    ctx.secrets_in(files.read_bytes(environment).decode())
    wheel = (sorted(glob.glob("/usr/share/python-wheels/pip-*.whl")) or [""])[-1]
    properties = {
        "User": users.name(app),
        "Group": users.name(app),
        "UMask": "0027",
        "WorkingDirectory": release_dir,
        "EnvironmentFile": environment,
        "ReadWritePaths": f"{venv} {cache}",
        "InaccessiblePaths": "-/var/lib/cloudtool -/etc/cloudtool -/run/systemd/private",
        "RuntimeMaxSec": str(BUILD_SECONDS),
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
    }
    properties |= dict.fromkeys(
        (
            "NoNewPrivileges",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectControlGroups",
            "ProtectKernelModules",
        ),
        "yes",
    )
    properties |= dict.fromkeys(("ProtectKernelTunables", "RestrictSUIDSGID", "LockPersonality"), "yes")
    argv = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", f"--unit={unit}"]
    argv += [f"--property={name}={value}" for name, value in properties.items()]
    argv += ["--", "/bin/sh", "-c", BUILD, "build", venv, wheel, file]
    try:
        result = ctx.run(argv, check=False, log="pip", code="requirements")
        if result.returncode:
            raise _failed(file, result)
        seal(venv, owner)
    except BaseException:
        # systemd-run is only the messenger: ending it does not end the build.
        stop(ctx, unit)
        shutil.rmtree(venv, ignore_errors=True)
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(environment)


def stop(ctx, unit: str) -> None:
    """Not by ctx.run, which does nothing any more when the client is gone."""
    import subprocess

    subprocess.run(["systemctl", "stop", unit], check=False, stdin=subprocess.DEVNULL, capture_output=True)


def environment_file(cache: str) -> str:
    """systemd's EnvironmentFile: not on a command line, because addresses of package indexes may hold passwords."""
    values = {}
    for line in (files.read_bytes("/etc/environment") or b"").decode("utf-8", "replace").splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        values[name.strip()] = value.strip().strip("\"'")
    values |= os.environ
    values = {name: value for name, value in values.items() if PASSED_ON.fullmatch(name) and "\n" not in value}
    # Debian's pip has the authorities of the system, wheels that bring requests or pip along do not.
    values.setdefault("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    values |= {"HOME": cache, "PIP_CACHE_DIR": f"{cache}/pip", "PIP_NO_INPUT": "1", "LANG": "C.UTF-8"}
    values["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    return "".join(f'{name}="{_quoted(value)}"\n' for name, value in sorted(values.items()))


def _quoted(value):
    return re.sub(r'(["\\$`])', r"\\\1", value)


def seal(venv: str, gid: int) -> None:
    """Root owns it, the app reads it; the marker comes when all of it is on the disk."""
    for _, below, names, fd in os.fwalk(venv, follow_symlinks=False):
        for name in [*below, *names]:
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
            os.chown(name, 0, gid, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISLNK(mode):
                executable = stat.S_ISDIR(mode) or mode & 0o111
                os.chmod(name, 0o750 if executable else 0o640, dir_fd=fd)
    os.chown(venv, 0, gid)
    os.chmod(venv, 0o750)
    os.sync()
    files.write(f"{venv}/{COMPLETE}", "", mode=0o640, uid=0, gid=gid, durable=True)


def _uid(app):
    import pwd

    return pwd.getpwnam(users.name(app)).pw_uid


def _failed(file, result):
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")] or lines[-1:]
    text = "\n".join(lines)
    hint = "The lines above are pip's; correct the file and run the command again."
    if "No matching distribution found" in text or "Could not find a version" in text:
        hint = "Look at the name and the version, and whether the node reaches the package index (pip.conf: /etc/pip.conf)."
    elif "gcc" in text or "Python.h" in text or "compiler" in text:
        hint = "It has to be compiled: add build-essential and python3-dev to packages in app.ini, or use the Debian package."
    elif "No space left on device" in text:
        hint = "The node's disk is full: cloudtool clean-node."
    reason = (
        errors[-1].partition(":")[2].strip() if errors and errors[-1].lower().startswith("error:") else "".join(errors)
    )
    return Failure(
        "requirements",
        f"The requirements in {file} could not be installed: {reason or f'status {result.returncode}'}",
        hint,
        details={"file": file, "log": lines[-30:]},
    )
