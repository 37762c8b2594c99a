"""Which backups stay: `7 daily, 4 weekly` keeps the newest of each of the last 7 days and 4 weeks that have one."""

import datetime
import re

from . import checks

RULE = re.compile(r"([1-9][0-9]{0,3}) (last|hourly|daily|weekly|monthly|yearly)")
PERIODS = {
    "last": None,
    "hourly": "%Y-%m-%d %H",
    "daily": "%Y-%m-%d",
    "weekly": "%G-%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}


def parse(text) -> dict[str, int]:
    """`7 daily, 4 weekly`; nothing: all stay."""
    if text in (None, ""):
        return {}
    rules = {}
    for part in str(text).split(","):
        found = RULE.fullmatch(" ".join(part.split()))
        if not found:
            raise checks.bad(f"{part.strip()!r} does not say what to keep: it is like '7 daily, 4 weekly'.")
        rules[found[2]] = int(found[1])
    return rules


def kept(ids: list[str], rules: dict[str, int]) -> set[str]:
    """The ids that stay. The newest always does."""
    newest_first = sorted(ids, reverse=True)
    staying = set(newest_first[:1])
    for period, number in rules.items():
        seen = []
        for backup_id in newest_first:
            at = datetime.datetime.strptime(backup_id, "%Y%m%dT%H%M%SZ")
            label = at.strftime(PERIODS[period]) if PERIODS[period] else backup_id
            if label not in seen and len(seen) < number:
                seen.append(label)
                staying.add(backup_id)
    return staying


def prune(ctx, store, rules: dict[str, int], manifests: list[dict]) -> list[str]:
    """Deletes what need not stay, manifests first: what has none is no backup. Gives the ids."""
    staying = kept([manifest["id"] for manifest in manifests], rules)
    gone = [manifest["id"] for manifest in manifests if manifest["id"] not in staying]
    for backup_id in gone:
        store.delete(f"{backup_id}.json")
    if gone:
        named = {name for manifest in manifests if manifest["id"] in staying for name in manifest["objects"]}
        for name in store.list():
            # Objects that are newer than every manifest may belong to a backup that is being taken elsewhere.
            if not name.endswith(".json") and name not in named and name[:16] <= max(gone + list(staying)):
                store.delete(name)
    return gone
