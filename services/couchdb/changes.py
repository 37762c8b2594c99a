"""What is in a database: all documents and all leaves of their trees of revisions, read as a stream.

`_changes` answers from one state of the database, however long it is read: that is the snapshot.
"""

import codecs
import json

import couch

DECODER = json.JSONDecoder()
PIECE = 64 * 1024


def changes(server, share):
    """The rows of `_changes`, one by one: {"id", "changes": [{"rev"}, ...], "deleted"}."""
    with server.reading(f"{share.database_path}/_changes?style=all_docs", share.auth) as answer:
        text = Text(answer)
        text.skip_to('"results"')
        text.skip_to("[")
        while text.more_in_list():
            yield text.value()


def count(rows):
    """How many documents and leaves there are. A conflict is a document with more than one leaf."""
    counts = {"documents": 0, "deleted": 0, "leaves": 0}
    for row in rows:
        counts["deleted" if row.get("deleted") else "documents"] += 1
        counts["leaves"] += len(row["changes"])
    return counts


class Text:
    """JSON that is read while it arrives: CouchDB puts a row in a line, others all of them in one."""

    def __init__(self, stream):
        self.stream = stream
        self.decode = codecs.getincrementaldecoder("utf-8")().decode
        self.text = ""
        self.at = 0

    def more(self):
        data = self.stream.read(PIECE)
        if not data:
            couch.fail("CouchDB's list of changes broke off")
        self.text = self.text[self.at :] + self.decode(data)
        self.at = 0

    def skip_to(self, word):
        while (found := self.text.find(word, self.at)) < 0:
            self.more()
        self.at = found + len(word)

    def more_in_list(self):
        while True:
            while self.at < len(self.text) and self.text[self.at] in ", \r\n\t":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at] != "]"
            self.more()

    def value(self):
        while True:
            try:
                value, self.at = DECODER.raw_decode(self.text, self.at)
                return value
            except ValueError:
                self.more()
