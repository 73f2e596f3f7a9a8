"""CSV: the cells of each record are those that the standard library reads, where it reads the same records."""

from __future__ import annotations

import csv
import io

from fuzz.streams import same_in_pieces
from fuzz.tape import Tape
from sophia.stream.table import RecordParser

HEAD = bytes([0, 9, 30, 70, 3, 1])


def seeds() -> list[bytes]:
    return [
        HEAD + b'id,text,scope\n1,"disk, full",a\n2,"two\nlines ""quoted""",b\n3,x\n\n4,y,z,w\n',
        HEAD + b"text;user\r\nhello;ann\r\n;bob\r\n",
        HEAD + b'\xef\xbb\xbftext\tts\n"open quote\nnever\nends',
        HEAD + b'text,label\na"b,"c"d\n"\xff",\x00\n',
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    delimiter = tape.pick(",;\t")
    cuts = [tape.number(255) for _ in range(3)]
    batch, live = 1 + tape.number(8), bool(tape.number(1))
    stream = tape.rest()
    if stream.startswith(b"\x1f\x8b"):
        return
    whole = same_in_pieces(stream, cuts, batch, live, format="csv", max_line=256)
    assert not isinstance(whole, str) or whole.startswith("pieces"), whole
    _records(stream.decode(errors="replace").replace("\0", "").replace("\r", ""), delimiter)


def _records(text: str, delimiter: str) -> None:
    """Quotes in any place, cells over many lines: read as `csv` reads them."""
    parser = RecordParser(delimiter)
    found = [record for line in text.split("\n") if (record := parser.feed(line)) is not None]
    source = csv.reader(io.StringIO(text + "\n", newline=""), delimiter=delimiter)
    expected = list(source)[: len(found)]
    # An empty line is a record of one empty cell to us, and of none to the standard library.
    assert [record for record in found if record != [""]] == [row for row in expected if row and row != [""]][
        : sum(record != [""] for record in found)
    ]
