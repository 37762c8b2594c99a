"""How programs write a text that somebody else looks for: as it is, each of its lines, in an address, between quotes, in Apache's log."""

import re

# Written the same everywhere.
PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
# Of a text of more lines these are looked for only as they are: every form costs whoever reads a log.
FEW = 20
SPOKEN = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\v": "v"}


def forms(text: str) -> set[str]:
    if PLAIN.fullmatch(text):
        return {text}
    import json
    from urllib.parse import quote, quote_plus

    lines = text.splitlines()
    found = set(lines)
    for part in {text, text.strip(), *(lines if len(lines) <= FEW else [])}:
        quoted = {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1]}
        found |= {part, *quoted, quote(part, safe=""), quote(part), quote_plus(part)}
    return found | {of_apache(form) for form in found}


def of_apache(text: str) -> str:
    """As httpd writes what it is told into its error log: all that is not printable ASCII is escaped."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character == "\\" or character in SPOKEN:
        return f"\\{SPOKEN.get(character, character)}"
    if " " <= character <= "~":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))
