"""The local files that travel with a command: in a directory that nobody but the app reads, and that goes with the command."""

import os

from . import checks, files, paths, users
from .context import Failure


class Upload:
    """A word of a command that names, perhaps after a prefix (`--file=`), a file or directory of the client's."""

    def __init__(self, number: int, word: int, prefix: str, path: str, name: str):
        self.number = number
        self.word = word
        self.prefix = prefix
        self.path = path
        self.name = name

    def is_in(self, release: str) -> bool:
        """Is the path one of the release's own? Then that is meant."""
        path = os.path.normpath(self.path)
        inside = not os.path.isabs(path) and path.partition("/")[0] != ".."
        return inside and os.path.lexists(f"{release}/{path}")


def asked(value, words: list[str]) -> list[Upload]:
    """What the client says of the files: the word, the prefix, what the file is called where it comes from."""
    found = []
    for number, item in enumerate(checks.objects(value, "The files")):
        word = checks.whole_number(item.get("word"), "The word of a file", 1, len(words) - 1)
        prefix = checks.text(item.get("prefix"), "A prefix") or ""
        name = checks.relative_path(item.get("name"), "name of a file")
        if "/" in name or not words[word].startswith(prefix):
            raise checks.bad("The files do not fit the command.")
        found.append(Upload(number, word, prefix, words[word][len(prefix) :], name))
    return found


def receive(payload, directory: str, app: str, wanted: list[Upload]) -> None:
    """Unpacks a tar into `directory`. While that happens only root can look into it, so nobody can lead us elsewhere."""
    import tarfile

    tops = {f"{upload.number}/{upload.name}" for upload in wanted}
    own = {"uid": users.uid(app), "gid": users.gid(app)}
    files.make_directory(paths.runs(app), mode=0o750, gid=own["gid"])
    files.remove_tree(directory)
    os.mkdir(directory, 0o700)
    try:
        with tarfile.open(fileobj=payload, mode="r|") as archive:
            for member in archive:
                path = checks.relative_path(member.name, "name of a file")
                if "/".join(path.split("/")[:2]) not in tops:
                    raise checks.bad(f"{path!r} is none of the files that were asked for.")
                unpack(archive, member, f"{directory}/{path}", own)
        payload.drain()
    except tarfile.TarError as error:
        files.remove_tree(directory)
        raise Failure("stage", f"The files cannot be read: {error}.") from error
    except BaseException:
        files.remove_tree(directory)
        raise
    for name in os.listdir(directory):
        os.chown(f"{directory}/{name}", **own)
    os.chown(directory, **own)


def unpack(archive, member, path: str, own: dict) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    mode = 0o700 if member.isdir() or member.mode & 0o100 else 0o600
    if member.isdir():
        files.make_directory(path, mode=mode, **own)
    elif member.isreg():
        source = archive.extractfile(member)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            os.fchown(fd, own["uid"], own["gid"])
            while data := source.read(1 << 20):
                files.write_all(fd, data)
        finally:
            os.close(fd)
    else:
        raise checks.bad(f"{member.name!r} is neither a file nor a directory.")


def reap(ctx, app: str) -> list[str]:
    """Ends the commands whose node program was killed, and takes their files away; gives their directories."""
    gone = leftovers(app)
    for path in gone:
        ctx.run(["systemctl", "stop", paths.run_unit(app, int(os.path.basename(path)))], check=False)
        files.remove_tree(path)
    return gone


def leftovers(app: str) -> list[str]:
    """The directories of commands whose node program is gone: they are named by its number."""
    names = [name for name in files.names(paths.runs(app)) if name.isdigit()]
    return [f"{paths.runs(app)}/{name}" for name in names if not is_node_program(name)]


def is_node_program(pid: str) -> bool:
    try:
        return b"/cloudtool/node/" in (files.read_bytes(f"/proc/{pid}/cmdline") or b"")
    except OSError:
        return False
