"""Views, triggers, routines and events have a definer, in whose name they act: whoever made them. What was loaded becomes the app's
when the app itself makes all of them again, as they are.

Each is one statement that the server prepares, whatever is in it, and that defines something: nothing of it is run.
"""

import re
import sys

# Of each kind: how its names are found, and the place of the statement in what SHOW CREATE answers (after it, in the order in
# which the server says them, are the two character sets of the session that it was made in).
SCHEMA = "information_schema."
KINDS = {
    "VIEW": (f"SELECT JSON_QUOTE(TABLE_NAME) FROM {SCHEMA}VIEWS WHERE TABLE_SCHEMA = DATABASE()", 1),
    "FUNCTION": (
        f"SELECT JSON_QUOTE(ROUTINE_NAME) FROM {SCHEMA}ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'FUNCTION'",
        2,
    ),
    "PROCEDURE": (
        f"SELECT JSON_QUOTE(ROUTINE_NAME) FROM {SCHEMA}ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'PROCEDURE'",
        2,
    ),
    # Again in the order in which those of one table act.
    "TRIGGER": (
        f"SELECT JSON_QUOTE(TRIGGER_NAME) FROM {SCHEMA}TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
        " ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        2,
    ),
    "EVENT": (f"SELECT JSON_QUOTE(EVENT_NAME) FROM {SCHEMA}EVENTS WHERE EVENT_SCHEMA = DATABASE()", 3),
}
DEFINER = re.compile(r"CREATE (ALGORITHM=\w+ )?DEFINER=`(?:[^`]|``)*`@`(?:[^`]|``)*` ", re.IGNORECASE)
ESCAPED = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def hand_over(seer, maker, definer=""):
    """All that is defined in the share, as `seer` is shown it, `maker` makes again: as its own, or in the name of a `definer`."""
    statements = []
    for kind, (names, at) in KINDS.items():
        found = seer.ask(f"{names};")
        shown = seer.say("".join(f"SHOW CREATE {kind} {quoted(name)};\n" for name in found)) if found else []
        for line in shown:
            statements += again(kind, line.split("\t"), at, definer)
    if statements:
        maker.say("".join(statements))


def again(kind, columns, at, definer=""):
    """The statements that make one of them again. A view is not made in a mode of its own."""
    mode = "" if kind == "VIEW" else unescaped(columns[1])
    definition, client, connection = map(unescaped, columns[at : at + 3])
    made, count = DEFINER.subn(lambda begins: f"CREATE OR REPLACE {begins[1] or ''}{definer}", definition, count=1)
    if not count:
        sys.exit(f"what MariaDB says of a {kind.lower()} does not begin with a definer")
    if kind == "EVENT":
        yield f"SET SESSION time_zone = {text(unescaped(columns[2]))};\n"
    yield f"SET SESSION sql_mode = {text(mode)}, character_set_client = {text(client)}, collation_connection = {text(connection)};\n"
    yield f"EXECUTE IMMEDIATE {text(made)};\n"


def unescaped(column):
    """As the client writes it where it is not told to write it raw."""
    return re.sub(r"\\(.)", lambda found: ESCAPED.get(found[1], found[1]), column)


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


def text(value):
    """A text that no mode and no character set of the session reads in another way."""
    return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"
