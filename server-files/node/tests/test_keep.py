"""Which backups stay, over simulated years of them, and which objects go with those that do not."""

import datetime
import unittest

from cloudtool_node import keep
from cloudtool_node.context import Failure

BEGIN = datetime.datetime(2026, 1, 1, 3, 15, tzinfo=datetime.timezone.utc)


def series(count: int, **step) -> list[str]:
    return [(BEGIN + datetime.timedelta(**step) * number).strftime("%Y%m%dT%H%M%SZ") for number in range(count)]


def days(ids) -> set[str]:
    return {backup_id[:8] for backup_id in ids}


class Rules(unittest.TestCase):
    def test_what_can_be_said(self):
        self.assertEqual(keep.parse("7 daily, 4 weekly"), {"daily": 7, "weekly": 4})
        self.assertEqual(keep.parse(" 1  last "), {"last": 1})
        self.assertEqual(keep.parse(None), {})
        for text in (
            "7",
            "daily",
            "0 daily",
            "-1 daily",
            "7 daily 4 weekly",
            "7 dayly",
            ",",
            "7.5 daily",
            "99999 daily",
        ):
            with self.assertRaises(Failure, msg=text):
                keep.parse(text)


class Kept(unittest.TestCase):
    def test_the_newest_always_stays(self):
        for rules in ({}, {"last": 1}, {"yearly": 1}, {"daily": 3}):
            ids = series(50, hours=5)
            self.assertIn(max(ids), keep.kept(ids, rules))
        self.assertEqual(keep.kept([], {"daily": 7}), set())

    def test_days_and_weeks(self):
        # Four a day for 60 days; the last is of the evening of the 60th.
        ids = series(240, hours=6)
        kept = keep.kept(ids, {"daily": 7, "weekly": 4})
        newest_of = {}
        for backup_id in ids:
            newest_of[backup_id[:8]] = backup_id
        last_seven = set(sorted(newest_of.values())[-7:])
        self.assertLessEqual(last_seven, kept)
        # 2026-03-01 is a Sunday: this week's is one of the seven, three more stay, the newest of theirs.
        self.assertEqual(kept - last_seven, {newest_of["20260222"], newest_of["20260215"], newest_of["20260208"]})

    def test_a_day_without_one_does_not_count(self):
        ids = series(3, days=10)
        self.assertEqual(keep.kept(ids, {"daily": 3}), set(ids))
        self.assertEqual(keep.kept(ids, {"daily": 2}), set(ids[1:]))

    def test_rules_add_up_and_the_order_of_ids_does_not_matter(self):
        ids = series(800, hours=7)
        rules = {"last": 3, "hourly": 5, "daily": 7, "weekly": 4, "monthly": 6, "yearly": 2}
        together = keep.kept(ids, rules)
        self.assertEqual(together, set().union(*(keep.kept(ids, {rule: number}) for rule, number in rules.items())))
        self.assertEqual(together, keep.kept(list(reversed(ids)), rules))
        self.assertLessEqual(len(together), sum(rules.values()))

    def test_weeks_at_the_turn_of_the_year(self):
        # Week 53 of 2026 goes to Sunday, 3 January 2027.
        ids = ["20261231T000000Z", "20270103T000000Z", "20270104T000000Z"]
        self.assertEqual(keep.kept(ids, {"weekly": 2}), set(ids[1:]))
        self.assertEqual(keep.kept(ids, {"yearly": 2}), {ids[0], ids[2]})

    def test_pruned_every_day_what_stays_is_what_would_have_stayed(self):
        # After two years of a backup a day and a prune after each there are as many as the rules say.
        rules = {"daily": 7, "weekly": 4, "monthly": 12}
        there: set[str] = set()
        for backup_id in series(365 * 2, days=1):
            there.add(backup_id)
            there = keep.kept(sorted(there), rules)
        self.assertEqual(len(days(sorted(there)[-7:])), 7)
        self.assertLessEqual(len(there), 23)
        self.assertGreaterEqual(len({backup_id[:6] for backup_id in there}), 12)


class Objects:
    """A store of which only the names count."""

    def __init__(self, names):
        self.names = set(names)

    def list(self):
        return dict.fromkeys(self.names, 1)

    def delete(self, name):
        self.names.discard(name)


class Pruned(unittest.TestCase):
    def test_a_pack_stays_as_long_as_a_backup_needs_it(self):
        ids = series(40, days=1)
        store, manifests = Objects([]), []
        for number, backup_id in enumerate(ids):
            # Every tenth has all anew; the others rest on it and add a pack of their own, which the next needs too.
            full = ids[number - number % 10]
            own, before = f"{backup_id}.files.pack.zst", f"{ids[max(number - 1, 0)]}.files.pack.zst"
            tree = f"{backup_id}.files.tree.zst"
            objects = {tree, own, before, f"{full}.files.pack.zst"}
            store.names |= {tree, own, f"{backup_id}.json"}
            manifests.append({"id": backup_id, "objects": dict.fromkeys(objects, {})})
            gone = keep.prune(None, store, {"daily": 3}, manifests)
            manifests = [manifest for manifest in manifests if manifest["id"] not in gone]
            needed = set().union(*(manifest["objects"] for manifest in manifests))
            self.assertEqual(store.names, needed | {f"{manifest['id']}.json" for manifest in manifests})
        self.assertEqual([manifest["id"] for manifest in manifests], ids[-3:])

    def test_what_is_being_written_elsewhere_is_left_alone(self):
        ids = series(3, days=1)
        store = Objects([f"{backup_id}.json" for backup_id in ids] + ["20990101T000000Z.files.pack.zst"])
        manifests = [{"id": backup_id, "objects": {}} for backup_id in ids]
        self.assertEqual(keep.prune(None, store, {"last": 1}, manifests), ids[:2])
        self.assertEqual(store.names, {f"{ids[2]}.json", "20990101T000000Z.files.pack.zst"})


if __name__ == "__main__":
    unittest.main()
