#!/usr/bin/python3 -BSs
"""What MariaDB keeps of passwords: the server is never told, and never keeps, a password itself.

As a program it prints those of the passwords in some files.
"""

import hashlib
import pathlib
import sys


def of(files):
    return [hashed(pathlib.Path(file).read_text().strip()) for file in files]


def hashed(password):
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


if __name__ == "__main__":
    print("\n".join(of(sys.argv[1:])))
