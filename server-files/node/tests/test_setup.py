"""The parts of setup that need no node."""

import unittest

from cloudtool_node import firewall, packages, requirements, service_folders, services, setup, sshd
from cloudtool_node.context import Failure

STATUS = """\
Package: bash
Essential: yes
Status: install ok installed
Version: 5.2

Package: half
Status: install ok half-configured

Package: gone
Status: deinstall ok config-files

Package: libc6
Status: install ok installed
Architecture: amd64

Package: libc6
Status: install ok unpacked
Architecture: i386

Package: exim4
Status: install ok installed
Provides: mail-transport-agent, exim-abi (= 4:1.0)
"""


class Packages(unittest.TestCase):
    def test_states_and_provided_names(self):
        states, provided = packages.parse_status(STATUS)
        self.assertEqual(
            states,
            {
                "bash": "installed",
                "half": "half-configured",
                "gone": "config-files",
                "libc6": "installed",
                "exim4": "installed",
            },
        )
        self.assertEqual(provided, {"mail-transport-agent", "exim-abi"})

    def test_names_that_apt_would_read_as_something_else_are_refused(self):
        for name in ("Apache2", "a b", "-y", "--help", "apache2=1", "apache2/sid", "a*", "x", ""):
            with self.subTest(name), self.assertRaises(Failure) as caught:
                packages.ensure(None, [name])
            self.assertEqual(caught.exception.code, "packages")


class Release(unittest.TestCase):
    def test_supported(self):
        for system, version in (("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")):
            self.assertIsNone(setup.check_release({"ID": system, "VERSION_ID": version}))

    def test_newer_is_a_warning(self):
        self.assertIn("newer", setup.check_release({"ID": "ubuntu", "VERSION_ID": "26.04"}))

    def test_others_are_refused(self):
        for fields in (
            {"ID": "fedora", "VERSION_ID": "40"},
            {"ID": "debian", "VERSION_ID": "11"},
            {"ID": "ubuntu", "VERSION_ID": "20.04"},
            {"ID": "debian"},
            {},
        ):
            with self.subTest(fields), self.assertRaises(Failure) as caught:
                setup.check_release(fields)
            self.assertEqual(caught.exception.code, "unsupported")


class AuthorizedKeys(unittest.TestCase):
    FILE = '# ssh-ed25519 COMMENTED me\nssh-ed25519 PLAIN me@laptop\ncommand="echo a b",no-pty ssh-rsa OPTIONS you\n\n'

    def test_found_with_and_without_options(self):
        self.assertTrue(sshd.has_key(self.FILE, "ssh-ed25519", "PLAIN"))
        self.assertTrue(sshd.has_key(self.FILE, "ssh-rsa", "OPTIONS"))

    def test_not_found(self):
        self.assertFalse(sshd.has_key(self.FILE, "ssh-ed25519", "COMMENTED"))
        self.assertFalse(sshd.has_key(self.FILE, "ssh-rsa", "PLAIN"))
        self.assertFalse(sshd.key_is_authorized(None, "root", ".ssh/authorized_keys"))
        self.assertFalse(sshd.key_is_authorized("ssh-rsa PLAIN", "no such user", ".ssh/authorized_keys"))


class Firewall(unittest.TestCase):
    def test_rendered(self):
        text = firewall.render("tcp dport { @SSH_PORTS@ } skuid @APP_UIDS@ @APP_PORTS@", [22, 2222])
        self.assertEqual(text, "tcp dport { 22, 2222 } skuid 61000-63999 20000-31999")


class Variables(unittest.TestCase):
    SERVICE = service_folders.Service(
        "pg", "/x", (), {}, None, None, None, "", {}, ("CONFIG_A", "CONFIG_B"), frozenset()
    )

    def test_read(self):
        told = services.parse_variables(self.SERVICE, "CONFIG_A=x=y z\nCONFIG_B=\n")
        self.assertEqual(told, {"CONFIG_A": "x=y z", "CONFIG_B": ""})

    def test_what_is_not_declared_is_an_error_that_does_not_quote_it(self):
        for line in ("CONFIG_C=sentinel", "sentinel", "config_a=sentinel", "CONFIG_A=sentinel\x01"):
            with self.subTest(line), self.assertRaises(Failure) as caught:
                services.parse_variables(self.SERVICE, line)
            self.assertNotIn("sentinel", caught.exception.message)


class Requirements(unittest.TestCase):
    def setUp(self):
        import tempfile

        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = directory.name

    def put(self, name, text):
        import os

        path = f"{self.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def key(self):
        return requirements.read(self.root, "requirements.txt").key()

    def test_logical_lines(self):
        text = "a==1 # why\n\n# b\nc \\\n  --hash=x\nd#not-a-comment\n"
        self.assertEqual(
            list(requirements.logical_lines(text)), [(1, "a==1"), (4, "c    --hash=x"), (6, "d#not-a-comment")]
        )

    def test_included_files_take_part_in_the_key(self):
        self.put("requirements.txt", "-r more/base.txt\n-c pins.txt\n")
        self.put("more/base.txt", "-r deeper.txt\nflask\n")
        self.put("more/deeper.txt", "django\n")
        self.put("pins.txt", "flask==3\n")
        keys = {self.key()}
        for name in ("more/base.txt", "more/deeper.txt", "pins.txt"):
            self.put(
                name, "flask==2\n" if name == "pins.txt" else "-r deeper.txt\nquart\n" if "base" in name else "x\n"
            )
            keys.add(self.key())
        self.assertEqual(len(keys), 4)

    def test_a_local_package_takes_part_in_the_key(self):
        self.put("requirements.txt", "./vendor\n")
        self.put("vendor/setup.py", "one")
        first = self.key()
        self.put("vendor/setup.py", "two")
        self.assertNotEqual(first, self.key())

    def test_nothing_asked_for(self):
        self.put("requirements.txt", "# nothing yet\n-c pins.txt\n--index-url https://x/\n")
        self.put("pins.txt", "flask==3\n")
        self.assertFalse(requirements.read(self.root, "requirements.txt").anything)

    def test_refused(self):
        for text in ("-e ./src\n", "--editable=src\n", "-r ../outside.txt\n", "-r missing.txt\n", "-r /etc/passwd\n"):
            self.put("requirements.txt", text)
            with self.subTest(text), self.assertRaises(Failure) as caught:
                self.key()
            self.assertEqual(caught.exception.code, "requirements")

    def test_circles_end(self):
        self.put("requirements.txt", "-r requirements.txt\nflask\n")
        self.assertTrue(self.key())


if __name__ == "__main__":
    unittest.main()
