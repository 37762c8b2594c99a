"""Logs: lines become records, records are found through rotations, and nothing is told twice or lost while they are followed."""

import gzip
import os
import tempfile
import unittest

from cloudtool_node import logs
from cloudtool_node.log_files import BLOCK, Log
from cloudtool_node.log_records import Joiner


def error(second: int, message: str, pid: int = 7) -> str:
    return f"[2026-01-01 10:00:{second:02}.000001] [v1] [wsgi:error] [pid {pid}] [client 192.0.2.1] {message}"


TRACE = ["cannot be loaded.", "Traceback (most recent call last):", '  File "app.py", line 1, in f', "    boom()"]
TRACE += ["KeyError: 1", "", "During handling of the above exception, another exception occurred:", ""]
TRACE += ["Traceback (most recent call last):", '  File "app.py", line 3', "ValueError: no"]


def records(lines, whole_lines=False) -> list[str]:
    joiner = Joiner(whole_lines)
    for number, line in enumerate(lines):
        joiner.take(number, line)
    return [record.text for record in joiner.records]


class Records(unittest.TestCase):
    def test_a_traceback_is_one_record_and_what_follows_is_not_of_it(self):
        trace = [error(1, line) for line in TRACE]
        self.assertEqual(
            records([error(0, "before"), *trace, error(2, "after")])[1:], ["\n".join(trace), error(2, "after")]
        )

    def test_two_processes_that_write_at_once_are_told_apart(self):
        one, two = ([error(1, line, pid) for line in TRACE] for pid in (1, 2))
        mixed = [line for pair in zip(one, two) for line in pair]
        self.assertEqual(records(mixed), ["\n".join(one), "\n".join(two)])

    def test_output_without_a_time_belongs_to_what_is_before_it(self):
        hook = ["[2026-01-01T10:00:00Z] script [1]", "made 3 tables", "", "[2026-01-01T10:00:01Z] status 0"]
        self.assertEqual(records(hook), ["\n".join(hook[:3]), hook[3]])
        self.assertEqual(records(["no time", "at all"]), ["no time\nat all"])

    def test_times_are_utc(self):
        joiner = Joiner(True)
        joiner.take(0, '192.0.2.1 - - [2026-01-01T01:30:00+0200] "GET / HTTP/1.1" 200')
        joiner.take(1, "[2026-01-01 10:00:00.25] x")
        joiner.take(2, "[9999-99-99T99:99:99+0200] x")
        self.assertEqual(
            [record.at for record in joiner.records][:2], ["2025-12-31T23:30:00Z", "2026-01-01T10:00:00.25Z"]
        )


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = f"{self.directory.name}/error.log"

    def tearDown(self):
        self.directory.cleanup()

    def write(self, lines, ending="", mode="w"):
        with (gzip.open if ending.endswith(".gz") else open)(self.path + ending, mode + "t") as file:
            file.writelines(line + "\n" for line in lines)

    def last(self, count, since=None, grep=None):
        return [record.text for record in Log("error", self.path).last(count, logs.chosen(since, grep), since)]

    def test_the_last_records_come_from_as_many_files_as_it_takes(self):
        lines = [error(second, f"number {second}") for second in range(40)]
        self.write(lines[:10], ".3.gz")
        self.write(lines[10:20], ".2.gz")
        self.write(lines[20:30], ".1")
        self.write(lines[30:])
        self.assertEqual(self.last(5), lines[35:])
        self.assertEqual(self.last(15), lines[25:])
        self.assertEqual(self.last(100), lines)
        self.assertEqual(self.last(3, grep="number [12]"), lines[27:30])
        os.unlink(self.path)
        self.assertEqual(self.last(12), lines[18:30])
        self.assertEqual(self.last(50, since="2026-01-01T10:00:28Z"), lines[28:30])

    def test_records_are_whole_where_blocks_meet(self):
        trace = [error(1, line) for line in TRACE]
        filling = error(0, "x" * 4000)
        lines = []
        while sum(map(len, lines)) < 2 * BLOCK:
            lines += [filling, *trace]
        self.write(lines)
        count = len(lines) // (1 + len(trace))
        self.assertEqual(self.last(2 * count), [filling, "\n".join(trace)] * count)
        self.assertEqual(self.last(1, grep="KeyError"), ["\n".join(trace)])

    def test_what_follows_is_told_once_and_whole(self):
        trace = [error(1, line) for line in TRACE]
        self.write([error(0, "old")])
        with open(self.path, "a") as file:
            file.write(error(1, "half a l"))
        log = Log("error", self.path)
        keep = logs.chosen(None, None)
        self.assertEqual([record.text for record in log.last(9, keep, None)], [error(0, "old")])
        told = []

        def look():
            told.extend(record.text for record in log.fresh(keep))

        for line in ["ine", *trace]:
            self.write([line], mode="a")
            look()
        look()
        self.assertEqual(told, [error(1, "half a line"), "\n".join(trace)])
        # Copied and cut off.
        self.write([error(3, "new")])
        look()
        look()
        self.assertEqual(told[2:], [error(3, "new")])


class Streams(unittest.TestCase):
    def test_the_app_s_part_of_the_error_log(self):
        joiner = Joiner()
        lines = [error(1, "said"), "[2026-01-01 10:00:02] [v1] [core:error] [pid 1] AH1"]
        lines += ["[2026-01-01 10:00:03] [v1] [web] said", "[2026-01-01 10:00:04] [v1] [php:notice] [pid 3] PHP Notice"]
        for line in lines:
            joiner.take(0, line)
        self.assertEqual([logs.is_of_app(record) for record in joiner.records], [True, False, True, True])

    def test_the_audit_log_in_sentences(self):
        entry = '{"at":"2026-01-01T10:00:00Z","by":"bob@x","verb":"deploy","app":"a","release":"v2","seconds":1.25,"result":"ok"}'
        self.assertEqual(logs.audited(entry, "a"), "[2026-01-01T10:00:00Z] deploy v2 by bob@x: ok after 1.2 s")
        self.assertIsNone(logs.audited(entry, "b"))
        self.assertIsNone(logs.audited("no JSON", "a"))
