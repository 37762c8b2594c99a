#!/usr/bin/python3 -BSs
"""What PostgreSQL keeps of a password: the server is told this, and never the password, so no statement log can hold one.

As a program it prints that of the password in a file.
"""

import base64
import hashlib
import hmac
import os
import pathlib
import sys

ROUNDS = 4096


def verifier(password):
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}"


if __name__ == "__main__":
    print(verifier(pathlib.Path(sys.argv[1]).read_text().strip()))
