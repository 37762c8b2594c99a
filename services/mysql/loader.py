"""Who fills a share with a dump: an account that gets into this share and no other, and is gone when it has."""

import contextlib
import secrets

import definitions
import elsewhere
import hashes
import mariadb
import remote


@contextlib.contextmanager
def loader():
    """What is in a dump runs with the rights of this account. With the app's it could reach the share that is in use, or change
    the app's password. In the end all that was loaded is the app's."""
    app = mariadb.app()
    if mariadb.THERE and "url" in mariadb.THERE:
        # An address names one account.
        yield app
        return
    with account_there(mariadb.THERE) if mariadb.THERE else account_here() as account:
        yield account
        definitions.hand_over(account, app)


@contextlib.contextmanager
def account_there(there):
    """It is there as long as the app is, and gets into nothing but for this while."""
    name = f"{elsewhere.login(there)}.loader"
    to = elsewhere.account(there, name)
    elsewhere.owner(there, f"GRANT ALL PRIVILEGES ON {elsewhere.pattern(mariadb.SHARE)}.* TO {to};\n")
    try:
        yield mariadb.Account(name, remote.secret("loader"))
    finally:
        elsewhere.owner(there, elsewhere.revoked(there, mariadb.SHARE, name))


@contextlib.contextmanager
def account_here():
    name, password = f"{mariadb.SHARE}.loader", secrets.token_hex(24)
    to = f"{elsewhere.text(name)}@{elsewhere.text(mariadb.HOST)}"
    mariadb.root(
        f"DROP USER IF EXISTS {to};\n"
        f"CREATE USER {to} IDENTIFIED VIA mysql_native_password USING {elsewhere.text(hashes.hashed(password))};\n"
        f"GRANT ALL PRIVILEGES ON {elsewhere.pattern(mariadb.SHARE)}.* TO {to};\n"
    )
    try:
        yield mariadb.Account(name, password)
    finally:
        mariadb.root(f"DROP USER {to};\n")
