"""What the scripts of this folder share that change the server itself, as its root: for apps of other nodes."""

import json
import subprocess
import sys

import definitions
import elsewhere
import lender

DIRECTORY = "/etc/mysql/cloudtool"
SETTINGS = "/etc/mysql/mariadb.conf.d/91-cloudtool-lent.cnf"
HASHES = "[*][0-9A-F]{40}(,[*][0-9A-F]{40})*"

LISTEN = f"""# Written by cloudtool (services/mysql/lend): apps of other nodes use this server. The firewall lets in nobody else.
[mariadbd]
bind-address = *
ssl-cert = {DIRECTORY}/server.pem
ssl-key = {DIRECTORY}/server.key
"""


def root(script, *arguments, **values):
    """Runs a script as the server's root; the lines that it prints. Values are its variables."""
    said = ", ".join(f"@{name} = {elsewhere.text(value)}" for name, value in values.items())
    done = subprocess.run(
        [
            "mariadb",
            "--no-defaults",
            "--socket=/run/mysqld/mysqld.sock",
            "--user=root",
            "--default-character-set=utf8mb4",
            *arguments,
            "--batch",
            "--skip-column-names",
        ],
        input=(f"SET {said};\n" if said else "") + script,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return done.stdout.splitlines()


class Root:
    """Root's sessions in a database: as in mariadb.py."""

    def __init__(self, database):
        self.use = f"USE {elsewhere.named(database)};\n"

    def say(self, sql, *arguments):
        return root(self.use + sql, *arguments)

    def ask(self, sql):
        return [json.loads(line) for line in self.say(sql, "--raw")]


def listen(certificate_changed):
    """Answers beyond loopback. That takes a restart, of about a second, the first time an app of another node asks."""
    lender.replace(SETTINGS, LISTEN)
    if root("SELECT @@bind_address, @@ssl_cert;") != [f"*\t{DIRECTORY}/server.pem"]:
        done = subprocess.run(["systemctl", "restart", "mariadb.service"], check=False)
        if done.returncode:
            sys.exit("the server did not start again; see: journalctl -u mariadb")
    elif certificate_changed:
        root("FLUSH SSL;")


# The names of databases are the app's own as long as it has its owner: nobody makes an account of such a name by hand.
LET_IN = r"""
SET @owner = CONCAT(@app, '.owner'), @loader = CONCAT(@app, '.loader');
SET @ours = EXISTS (SELECT 1 FROM mysql.global_priv WHERE User = @owner);
SET @foreign = NOT @ours AND (
    EXISTS (SELECT 1 FROM mysql.global_priv WHERE User = @app)
    OR EXISTS (SELECT 1 FROM information_schema.SCHEMATA
                WHERE SCHEMA_NAME = @app OR SCHEMA_NAME RLIKE CONCAT('^', @app, '[.][0-9]+$')));
DELIMITER //
BEGIN NOT ATOMIC
    DECLARE procedures TEXT DEFAULT CONCAT('`cloudtool.lobby`.`', @app, '`');
    IF @foreign THEN
        SELECT CONCAT('MariaDB has an account or a database ', @app, ' already, of an app of this node or made by hand. Choose another app_name.');
    ELSE
        -- The node has another address now, or it is another node: what its accounts may is kept. Those of an app that has moved are
        -- there from both: the old ones go when nothing is theirs any more.
        FOR other IN (SELECT User AS name, Host AS host FROM mysql.global_priv AS there
                       WHERE User IN (@app, @owner, @loader) AND NOT FIND_IN_SET(Host, @own)
                         AND NOT EXISTS (SELECT 1 FROM mysql.global_priv WHERE User = there.User AND Host = @from)) DO
            EXECUTE IMMEDIATE CONCAT('RENAME USER ', QUOTE(other.name), '@', QUOTE(other.host), ' TO ', QUOTE(other.name), '@', QUOTE(@from));
        END FOR;
        FOR part IN (SELECT @owner AS name, @owner_hash AS hashes UNION SELECT @loader, @loader_hash UNION SELECT @app, @app_hash) DO
            EXECUTE IMMEDIATE CONCAT('CREATE USER IF NOT EXISTS ', QUOTE(part.name), '@', QUOTE(@from), ' REQUIRE SSL');
            EXECUTE IMMEDIATE CONCAT('ALTER USER ', QUOTE(part.name), '@', QUOTE(@from), ' IDENTIFIED VIA mysql_native_password USING ',
                REPLACE(QUOTE(part.hashes), ',', ''' OR mysql_native_password USING '''), ' REQUIRE SSL');
        END FOR;
        EXECUTE IMMEDIATE CONCAT('GRANT ALL PRIVILEGES ON `', REPLACE(@app, '_', '\\_'), '`.* TO ', QUOTE(@owner), '@', QUOTE(@from), ' WITH GRANT OPTION');
        EXECUTE IMMEDIATE CONCAT('GRANT ALL PRIVILEGES ON `', REPLACE(@app, '_', '\\_'), '.%`.* TO ', QUOTE(@owner), '@', QUOTE(@from), ' WITH GRANT OPTION');
        CREATE DATABASE IF NOT EXISTS `cloudtool.lobby`;
        EXECUTE IMMEDIATE CONCAT('CREATE OR REPLACE PROCEDURE ', procedures, ' (IN app TEXT, IN loader TEXT) SQL SECURITY DEFINER BEGIN
            IF app RLIKE ''^', @pattern, '$'' AND loader RLIKE ''^', @pattern, '$'' THEN
                FOR part IN (SELECT ', QUOTE(@app), ' AS name, app AS hashes UNION SELECT ', QUOTE(@loader), ', loader) DO
                    FOR account IN (SELECT Host AS host FROM mysql.global_priv WHERE User = part.name) DO
                        EXECUTE IMMEDIATE CONCAT(''ALTER USER '', QUOTE(part.name), ''@'', QUOTE(account.host),
                            '' IDENTIFIED VIA mysql_native_password USING '', REPLACE(QUOTE(part.hashes), '','', '''''' OR mysql_native_password USING ''''''));
                    END FOR;
                END FOR;
            ELSE
                SIGNAL SQLSTATE ''45000'' SET MESSAGE_TEXT = ''these are no hashes of passwords'';
            END IF;
        END');
        EXECUTE IMMEDIATE CONCAT('GRANT EXECUTE ON PROCEDURE ', procedures, ' TO ', QUOTE(@owner), '@', QUOTE(@from));
    END IF;
END//
"""


def let_in(mine):
    """The accounts of an app, as its record says them."""
    terms = mine["terms"]
    hashes = {"app_hash": terms["app"], "owner_hash": terms["owner"], "loader_hash": terms["loader"]}
    own = ",".join(lender.addresses(mine))
    for address in lender.addresses(mine):
        objection = root(LET_IN, app=mine["app"], **{"from": address}, own=own, pattern=HASHES, **hashes)
        if objection:
            sys.exit(objection[0])
    follow_address(mine, own)


# What the app has defined in its databases from an address that is not its own any more.
FROM_ELSEWHERE = """
SET @pattern = CONCAT('^', @app, '([.][0-9]+)?$'), @other = CONCAT(@app, '@%');
SELECT DISTINCT JSON_QUOTE(name) FROM (
    SELECT TABLE_SCHEMA AS name, DEFINER AS definer FROM information_schema.VIEWS
    UNION SELECT TRIGGER_SCHEMA, DEFINER FROM information_schema.TRIGGERS
    UNION SELECT ROUTINE_SCHEMA, DEFINER FROM information_schema.ROUTINES
    UNION SELECT EVENT_SCHEMA, DEFINER FROM information_schema.EVENTS) AS defined
 WHERE name RLIKE @pattern AND definer LIKE @other AND NOT FIND_IN_SET(SUBSTRING_INDEX(definer, '@', -1), @own);
"""

FORGET_ELSEWHERE = """
DELIMITER //
BEGIN NOT ATOMIC
    FOR other IN (SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) AS name FROM mysql.global_priv
                   WHERE User IN (@app, CONCAT(@app, '.owner'), CONCAT(@app, '.loader')) AND NOT FIND_IN_SET(Host, @own)) DO
        EXECUTE IMMEDIATE CONCAT('DROP USER ', other.name);
    END FOR;
END//
"""


def follow_address(mine, own):
    """Definers are accounts with their address: what the app has defined is its own from its new one as well. Then nobody comes
    from another one any more."""
    names = {"app": mine["app"], "own": own}
    definer = f"DEFINER={elsewhere.account(mine, mine['app'])} "
    for share in map(json.loads, root(FROM_ELSEWHERE, "--raw", **names)):
        definitions.hand_over(Root(share), Root(share), definer)
    users = ", ".join(elsewhere.text(mine["app"] + part) for part in ("", ".owner", ".loader"))
    root(FORGET_ELSEWHERE, **names)
    # After the last colon is the port.
    address = "LEFT(HOST, CHAR_LENGTH(HOST) - LOCATE(':', REVERSE(HOST)))"
    others = f"USER IN ({users}) AND NOT FIND_IN_SET({address}, {elsewhere.text(own)})"
    root(elsewhere.END_CONNECTIONS.format(which=others))


FORGET = r"""
SET SESSION lock_wait_timeout = 60;
DELIMITER //
BEGIN NOT ATOMIC
    IF EXISTS (SELECT 1 FROM mysql.global_priv WHERE User = CONCAT(@app, '.owner')) THEN
        FOR account IN (SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) AS name FROM mysql.global_priv
                         WHERE User IN (@app, CONCAT(@app, '.loader'))) DO
            EXECUTE IMMEDIATE CONCAT('ALTER USER ', account.name, ' ACCOUNT LOCK');
            EXECUTE IMMEDIATE CONCAT('KILL USER ', account.name);
        END FOR;
        FOR share IN (SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA
                       WHERE SCHEMA_NAME = @app OR SCHEMA_NAME RLIKE CONCAT('^', @app, '[.][0-9]+$')) DO
            EXECUTE IMMEDIATE CONCAT('DROP DATABASE `', share.name, '`');
        END FOR;
        EXECUTE IMMEDIATE CONCAT('DROP PROCEDURE IF EXISTS `cloudtool.lobby`.`', @app, '`');
        -- The owner goes last: as long as it is there, all of this is known to be ours.
        FOR account IN (SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) AS name FROM mysql.global_priv
                         WHERE User IN (@app, CONCAT(@app, '.loader'), CONCAT(@app, '.owner'))
                         ORDER BY User = CONCAT(@app, '.owner')) DO
            EXECUTE IMMEDIATE CONCAT('DROP USER ', account.name);
        END FOR;
    END IF;
END//
"""


def forget(mine):
    """All that the server keeps for an app."""
    root(FORGET, app=mine["app"])
