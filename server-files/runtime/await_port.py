"""Waits until something listens on a port of the loopback: what systemd runs before it wakes a slot."""

import socket
import sys
import time

deadline = time.monotonic() + 60
while True:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit("the slot does not listen")
        time.sleep(0.005)
