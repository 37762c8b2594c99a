"""Times as the protocol writes them: UTC, to the second."""

import time

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def now() -> str:
    return time.strftime(FORMAT, time.gmtime())
