"""Lines of logs as records: a traceback is one, also where two processes wrote theirs at the same time.

A line begins with brackets: the time, then who wrote it (release, module, process, client). What follows belongs to an earlier line of
the same writer when it is indented or goes on with a traceback; a line without a time belongs to whatever is before it.
"""

import calendar
import re
import time

from .times import FORMAT

# Apache's error log has UTC with a space, the access log an offset.
STAMP = re.compile(r"\[(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d{4})?\]")
WRITER = re.compile(r"((?: \[[^\]]*\])*) ?(.*)", re.DOTALL)
TRACEBACK = "Traceback (most recent call last):"
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
# What of a traceback a record has reached: its frames, its exception, the sentence that leads to the next one.
FRAMES, EXCEPTION, LEADING = range(3)


class Line:
    """A line of a log."""

    def __init__(self, text: str, time_anywhere: bool):
        self.text = text
        found = STAMP.search(text[:400]) if time_anywhere else STAMP.match(text)
        self.at = utc(found) if found else None
        self.writer, self.message = WRITER.fullmatch(text[found.end() :]).groups() if found else (None, text)


class Record:
    def __init__(self, position: int, line: Line):
        self.position = position
        self.at = line.at
        self.writer = line.writer
        self.lines = [line.text]
        self.traceback = FRAMES if line.message.startswith(TRACEBACK) else None
        # Since the last look.
        self.grown = True

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def takes(self, line: Line) -> bool:
        """Is it one of this record's? Then it is taken."""
        if line.at is None or line.message[:1] in (" ", "\t"):
            belongs = True
        elif line.message.startswith(TRACEBACK):
            # What leads to it says whose it is: `cannot be loaded.`
            belongs = self.traceback == LEADING or self.traceback is None and len(self.lines) == 1
            self.traceback = FRAMES if belongs else self.traceback
        elif self.traceback == FRAMES:
            belongs, self.traceback = True, EXCEPTION
        elif self.traceback == EXCEPTION and line.message.startswith(CHAINED):
            belongs, self.traceback = True, LEADING
        else:
            belongs = self.traceback in (EXCEPTION, LEADING) and not line.message
        if belongs:
            self.lines.append(line.text)
            self.grown = True
        return belongs


class Joiner:
    """Makes records of the lines of one log, in their order."""

    def __init__(self, whole_lines: bool = False):
        # Every line is a record, and its time anywhere in it: an access log.
        self.whole_lines = whole_lines
        self.records: list[Record] = []
        self.last: Record | None = None
        # The last record of each writer.
        self.of: dict[str | None, Record] = {}

    def take(self, position: int, text: str) -> None:
        line = Line(text, self.whole_lines)
        known = self.last if line.at is None else self.of.get(line.writer)
        if known is not None and not self.whole_lines and known.takes(line):
            self.last = known
            return
        self.last = Record(position, line)
        self.records.append(self.last)
        self.of[line.writer] = self.last

    def ready(self) -> list[Record]:
        """The records to which nothing was added since the last look; they are given away."""
        quiet = [record for record in self.records if self.whole_lines or not record.grown]
        self.records = [] if self.whole_lines else [record for record in self.records if record.grown]
        for record in self.records:
            record.grown = False
        if not self.records:
            self.last = None
        self.of = {writer: record for writer, record in self.of.items() if record in self.records}
        return quiet


def utc(found: re.Match) -> str:
    day, clock, fraction, offset = found.groups()
    fraction = (fraction or "")[:7]
    if offset in (None, "Z", "+0000"):
        return f"{day}T{clock}{fraction}Z"
    try:
        seconds = calendar.timegm(time.strptime(f"{day}T{clock}Z", FORMAT))
    except ValueError:
        # Digits that are no time: a text that was made to look like one.
        return f"{day}T{clock}{fraction}Z"
    sign = -1 if offset[0] == "-" else 1
    seconds -= sign * (int(offset[1:3]) * 3600 + int(offset[3:5]) * 60)
    return time.strftime(FORMAT, time.gmtime(seconds)).replace("Z", f"{fraction}Z")
