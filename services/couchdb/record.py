"""The frame of a dump: a line of JSON about it, then every leaf as CouchDB writes it, after its length; at the end a length of END
and how many there were.
"""

import struct

FORMAT = "cloudtool couchdb 1"
LENGTH = struct.Struct(">Q")
END = (1 << 64) - 1
