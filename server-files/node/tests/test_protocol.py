import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

from cloudtool_node import health, session
from cloudtool_node.context import Context, Failure, Writer


def pipe_with(data: bytes) -> int:
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return read


class Imports(unittest.TestCase):
    def test_what_every_command_waits_for_loads_nothing_slow(self):
        loaded = "import sys, cloudtool_node.probe, cloudtool_node.run; print(*sys.modules)"
        directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        argv = [sys.executable, "-S", "-c", loaded]
        said = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=True).stdout.split()
        self.assertIn("cloudtool_node.state", said)
        self.assertEqual({"dataclasses", "inspect", "subprocess", "ipaddress", "tempfile"} & set(said), set())


class Requests(unittest.TestCase):
    def test_lines_and_payloads_follow_each_other(self):
        source = session.Input(pipe_with(b'{"a":1}\n\0\0\0\3abc\0\0\0\2de\0\0\0\0{"b":2}\n'))
        self.assertEqual(source.line(), b'{"a":1}')
        payload = session.Payload(source, True)
        self.assertEqual(payload.read(2) + payload.read(9) + payload.read(9), b"abcde")
        self.assertEqual(payload.read(1), b"")
        self.assertEqual(source.line(), b'{"b":2}')
        self.assertIsNone(source.line())

    def test_an_unwanted_payload_is_passed_over(self):
        source = session.Input(pipe_with(b"\0\0\0\3abc\0\0\0\0next\n"))
        session.Payload(source, True).drain()
        self.assertEqual(source.line(), b"next")

    def test_a_payload_that_breaks_off_is_an_abort(self):
        payload = session.Payload(session.Input(pipe_with(b"\0\0\0\5ab")), True)
        payload.read(9)
        with self.assertRaises(Failure) as caught:
            payload.read(9)
        self.assertEqual(caught.exception.code, "aborted")


class Events(unittest.TestCase):
    def setUp(self):
        self.read, write = os.pipe()
        self.ctx = Context({"by": "me@here"}, Writer(write))
        self.addCleanup(os.close, self.read)
        self.addCleanup(os.close, write)
        self.addCleanup(self.ctx.close)

    def events(self) -> list[dict]:
        return [json.loads(line) for line in os.read(self.read, 1 << 20).splitlines()]

    def test_secrets_are_never_said(self):
        self.ctx.secret("hunter22")
        self.ctx.secret("first line\nsecond line")
        self.ctx.secret("short")
        self.ctx.log("pip", "password hunter22, second line, short")
        self.ctx.event("error", details={"log": ["hunter22"]})
        said = self.events()
        self.assertEqual(said[0]["line"], "password ***, ***, short")
        self.assertEqual(said[1]["details"], {"log": ["***"]})

    def test_a_failing_step_puts_its_name_to_the_failure(self):
        with self.assertRaises(Failure) as caught, self.ctx.step("stage"):
            raise Failure("stage", "no")
        self.assertEqual(caught.exception.step, "stage")

    def test_commands(self):
        result = self.ctx.run(["sh", "-c", "echo out; echo err >&2; cat"], input="in\n", log="sh")
        self.assertEqual((result.stdout, result.stderr), ("out\nin\n", "err\n"))
        self.assertEqual({event["line"] for event in self.events()}, {"out", "err", "in"})
        with self.assertRaises(Failure) as caught:
            self.ctx.run(["sh", "-c", "echo why >&2; exit 3"], code="packages")
        self.assertEqual(caught.exception.code, "packages")
        self.assertIn("status 3: why", caught.exception.message)
        self.assertEqual(self.ctx.run(["/nonexistent"], check=False).returncode, 127)

    def test_a_command_ends_at_its_timeout_and_at_an_abort(self):
        began = time.monotonic()
        with self.assertRaises(Failure) as caught:
            self.ctx.run(["sleep", "60"], timeout=0.05)
        self.assertIn("longer than", caught.exception.message)
        self.ctx.abort()
        with self.assertRaises(Failure) as caught:
            self.ctx.run(["sleep", "60"])
        self.assertEqual(caught.exception.code, "aborted")
        self.assertLess(time.monotonic() - began, 10)

    def test_after_the_commit_nothing_is_aborted(self):
        self.ctx.commit()
        self.ctx.abort()
        self.assertEqual(self.ctx.run(["echo", "done"]).stdout, "done\n")


class Logs(unittest.TestCase):
    def test_a_candidate_is_told_from_the_live_release(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("[t] [v1] [wsgi:error] old\n[t] [v2] [wsgi:error] new\nbare\n[t] [v2] [core:notice] x\n")
            file.flush()
            found = health.own_lines(file.name, 0, "v2")
            self.assertEqual(found, ["[t] [v2] [wsgi:error] new", "bare"])
