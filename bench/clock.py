"""Measures commands: how long they take, how much memory they have had. Others may share the machine: medians."""

import os
import statistics
import subprocess
import time


class Run:
    """One command that has ended."""

    def __init__(self, argv, environment):
        argv = [str(word) for word in argv]
        start = time.monotonic()
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        self.max_rss_mb = usage.ru_maxrss / 1024
        if process.returncode:
            raise SystemExit(f"{' '.join(argv)[:200]} failed:\n{said.decode(errors='replace')[-2000:]}")


def medians(rounds: int, environment, works: dict) -> dict[str, float]:
    """The median seconds of each of several commands. A value of `works` gives the command line, and may prepare its run.

    They take turns, so that whatever else the machine does meets all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(Run(work(), environment).seconds)
    return {name: statistics.median(values) for name, values in seconds.items()}
