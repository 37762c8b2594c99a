"""Whose connections to a server are: when a login ends, those of what runs of the app with its newer one go on, and no others."""

import glob
import os
import pathlib
import pwd
import re
import time


def kept_ports():
    """The local ports of all sockets of the app's processes that have started since its login was made. What runs longer knows
    the password that has ended, and so does whoever else is logged in."""
    files = map(pathlib.Path, os.environ["CLOUDTOOL_SERVICE_PASSWORDS"].split())
    made = max(file.stat().st_mtime for file in files)
    uid = pwd.getpwnam(os.environ["CLOUDTOOL_APP_USER"]).pw_uid
    inodes = {inode for process in processes(uid, made) for inode in sockets(process)}
    return {port for port, inode in connections(uid) if inode in inodes}


def processes(uid, since):
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for process in map(pathlib.Path, glob.glob("/proc/[0-9]*")):
        try:
            ticks = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[19])
            if process.stat().st_uid == uid and booted + ticks / os.sysconf("SC_CLK_TCK") >= since:
                yield process
        except OSError:
            pass  # it has ended


def sockets(process):
    try:
        for name in os.listdir(process / "fd"):
            if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(process / "fd" / name)):
                yield found[1]
    except OSError:
        pass  # it has ended


def connections(uid):
    """(port, inode) of each TCP socket of a user."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:] if os.path.exists(table) else []:
            fields = line.split()
            if fields[7] == str(uid):
                yield int(fields[1].rpartition(":")[2], 16), fields[9]
