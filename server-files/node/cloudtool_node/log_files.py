"""A log's files, opened with care, because the directory is the app's own: the one that is written, and those that it was before."""

import gzip
import os
import time
from collections import deque

from . import files
from .log_records import Joiner, Record
from .times import FORMAT

BLOCK = 1 << 20
# A record that is longer than this may be cut where two blocks meet.
OVERLAP = 1 << 16
LONGEST = 1 << 16
ROTATIONS = 14


class Log:
    """One log of a stream. `read` makes a line of the log from a line of the file, or None of one that is not for us."""

    def __init__(self, stream: str, path: str, read=None, whole_lines: bool = False, chosen=None):
        self.stream = stream
        self.path = path
        self.read = read or (lambda text: text)
        self.whole_lines = whole_lines
        # Which records of the file belong to the stream.
        self.chosen = chosen or (lambda record: True)
        self.position = 0
        self.rest = b""
        self.joiner = Joiner(whole_lines)

    def last(self, count: int, keep, since: str | None) -> list[Record]:
        """The last `count` records that pass, oldest first; none that is older than `since` is looked for."""
        found: deque = deque()
        for number in range(ROTATIONS + 1):
            if len(found) >= count or self._older(number, since):
                break
            records = self._plain(number, count - len(found), keep, since)
            if records is None:
                records = self._packed(number, count - len(found), keep)
            if records is None:
                # The newest may not be there just now, and the next not be packed yet.
                if number > 1:
                    break
                continue
            found.extendleft(reversed(records))
        return list(found)

    def _older(self, number: int, since: str | None) -> bool:
        """Was it written for the last time before that?"""
        if number == 0 or since is None:
            return False
        for name in (f"{self.path}.{number}", f"{self.path}.{number}.gz"):
            try:
                return time.strftime(FORMAT, time.gmtime(os.lstat(name).st_mtime)) < since
            except OSError:
                continue
        return False

    def _plain(self, number: int, count: int, keep, since: str | None) -> list[Record] | None:
        fd = files.open_foreign(f"{self.path}.{number}" if number else self.path)
        if fd is None:
            return None
        found: list[Record] = []
        with open(fd, "rb") as file:
            end = os.fstat(fd).st_size
            if number == 0:
                end = self._whole_lines_of(file, end)
            while end > 0 and len(found) < count:
                start = max(0, end - BLOCK)
                records = self._between(file, start, end)
                found = [record for record in records if self.chosen(record) and keep(record)] + found
                if since and records and records[0].at and records[0].at < since:
                    break
                end = start
        return found[-count:] if count else []

    def _whole_lines_of(self, file, size: int) -> int:
        """Where the last whole line ends; what is after it is the beginning of one that `fresh` will see."""
        file.seek(max(0, size - LONGEST))
        tail = file.read(LONGEST)
        self.rest = tail[tail.rfind(b"\n") + 1 :]
        self.position = file.tell()
        return self.position - len(self.rest)

    def _between(self, file, start: int, end: int) -> list[Record]:
        """The records that begin there. What is around it is read too: a record may go on, or not begin where it seems to."""
        begin = max(0, start - OVERLAP)
        file.seek(begin)
        data = file.read(end - begin + OVERLAP)
        if begin:
            cut = data.find(b"\n") + 1
            begin, data = begin + cut, data[cut:]
        complete = data[: data.rfind(b"\n") + 1]
        joiner = Joiner(self.whole_lines)
        for line in complete.split(b"\n")[:-1]:
            self._take(joiner, begin, line)
            begin += len(line) + 1
        return [record for record in joiner.records if start <= record.position < end]

    def _packed(self, number: int, count: int, keep) -> list[Record] | None:
        fd = files.open_foreign(f"{self.path}.{number}.gz") if number else None
        if fd is None:
            return None
        found: deque = deque(maxlen=count)
        joiner = Joiner(self.whole_lines)
        try:
            with open(fd, "rb") as file, gzip.open(file) as lines:
                for position, line in enumerate(lines):
                    self._take(joiner, position, line.rstrip(b"\n"))
                    if position % 1000 == 0:
                        found.extend(record for record in joiner.ready() if self.chosen(record) and keep(record))
        except (OSError, EOFError):
            # What the app has put there, or what is being packed just now.
            pass
        found.extend(record for record in joiner.records if self.chosen(record) and keep(record))
        return list(found)

    def _take(self, joiner: Joiner, position: int, line: bytes) -> None:
        text = self.read(line.decode("utf-8", "replace"))
        if text is not None:
            joiner.take(position, text)

    def fresh(self, keep) -> list[Record]:
        """The records that nothing was added to since the last look."""
        self._read_on()
        return [record for record in self.joiner.ready() if self.chosen(record) and keep(record)]

    def _read_on(self) -> None:
        """Whole lines that are new; after a rotation from the new beginning."""
        fd = files.open_foreign(self.path)
        if fd is None:
            return
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size < self.position:
                self.position, self.rest = 0, b""
            if size == self.position:
                return
            file.seek(self.position)
            data = self.rest + file.read(BLOCK)
            self.position = file.tell()
        *lines, self.rest = data.split(b"\n")
        if len(self.rest) > LONGEST:
            lines, self.rest = [*lines, self.rest], b""
        for line in lines:
            self._take(self.joiner, 0, line)
