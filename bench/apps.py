"""The apps that are deployed."""

import random
from pathlib import Path

HELLO = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello world"]
"""


class App:
    """A hello-world app in a directory of its own."""

    def __init__(self, directory: Path, name: str):
        self.directory = directory / name
        self.name = name
        self.changes = 0
        self.write("app.ini", f"[production]\napp_name = {name}\nrunner = app.py\n")
        self.write("app.py", HELLO)

    def write(self, path: str, content: str | bytes) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def with_files(self, count: int, size: int) -> "App":
        """As many files of text that compresses as source does."""
        dice = random.Random(1)
        words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(2000)]
        for number in range(count):
            text = " ".join(dice.choices(words, k=size // 6))
            self.write(f"files/{number % 20}/{number}.txt", text[:size])
        return self

    def change(self) -> None:
        """Changes one file."""
        self.changes += 1
        self.write("files/3/3.txt", f"change {self.changes} of {self.name}\n" * 100)
