"""Readers: what every format yields, with line numbers, and the error of each bad file."""

import csv
import gzip
import io
import json
import sys
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.readers import READERS, read_text
from sbert.errors import InputError

FIELDS = ["genre", "file", "year", "id", "score", "sentence1", "sentence2"]


@pytest.fixture(params=["plain", "gz"])
def put(request, tmp_path):
    """A function that writes bytes as a file, once plain and once compressed."""

    def write(content: bytes | str, name: str = "rows.tsv"):
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / (name if request.param == "plain" else f"{name}.gz")
        path.write_bytes(raw if request.param == "plain" else gzip.compress(raw))
        return path

    return write


def refusal(path, reader: str) -> str:
    with pytest.raises(InputError) as caught:
        list(READERS[reader](path))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


READABLE = {
    "tsv": ("tsv", "a\tb\n1\t2\n3\t4\n", [(2, {"a": "1", "b": "2"}), (3, {"a": "3", "b": "4"})]),
    "no newline at the end": ("tsv", "a\tb\n1\t2", [(2, {"a": "1", "b": "2"})]),
    "blank lines keep the count": (
        "tsv",
        "a\tb\n\n1\t2\n\n\n3\t4\n",
        [(3, {"a": "1", "b": "2"}), (6, {"a": "3", "b": "4"})],
    ),
    "tsv with CRLF": (
        "tsv",
        "a\tb\r\n1\t2\r\n\r\n3\t4\r\n",
        [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": "4"})],
    ),
    "tsv with a BOM": ("tsv", "\ufeffa\tb\n1\t2\n", [(2, {"a": "1", "b": "2"})]),
    "quotes are ordinary in tsv": ("tsv", 'a\tb\n"x\ty"\n', [(2, {"a": '"x', "b": 'y"'})]),
    "one lone quote in tsv": (
        "tsv",
        'a\tb\n5" pipe\ty\n2\t3\n',
        [(2, {"a": '5" pipe', "b": "y"}), (3, {"a": "2", "b": "3"})],
    ),
    "empty fields in tsv": ("tsv", "a\tb\tc\n\tx\t\n", [(2, {"a": "", "b": "x", "c": ""})]),
    "spaces stay": ("tsv", "a\tb\n x \t  \n", [(2, {"a": " x ", "b": "  "})]),
    "csv": ("csv", "a,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
    "csv with CRLF": ("csv", "a,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
    "csv with a BOM": ("csv", "\ufeffa,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
    "csv quotes commas": (
        "csv",
        'a,b\n"x, y","say ""hi"""\n',
        [(2, {"a": "x, y", "b": 'say "hi"'})],
    ),
    # a row of two lines is named by its last
    "csv quotes newlines": (
        "csv",
        'a,b\n"x\ny",1\nz,2\n',
        [(3, {"a": "x\ny", "b": "1"}), (4, {"a": "z", "b": "2"})],
    ),
    "csv blank lines": ("csv", "a,b\n\n1,2\n", [(3, {"a": "1", "b": "2"})]),
    "jsonl": (
        "jsonl",
        '{"a": 1, "b": "é"}\n\n{"c": null}\n',
        [(1, {"a": 1, "b": "é"}), (3, {"c": None})],
    ),
    "jsonl with CRLF and a BOM": (
        "jsonl",
        '\ufeff{"a": 1}\r\n{"a": 2}\r\n',
        [(1, {"a": 1}), (2, {"a": 2})],
    ),
    "stsb-multi-mt has no header": (
        "stsb-multi-mt",
        '"One, two","Un, deux",5.0\nA,B,0.25\n',
        [
            (1, {"sentence1": "One, two", "sentence2": "Un, deux", "score": "5.0"}),
            (2, {"sentence1": "A", "sentence2": "B", "score": "0.25"}),
        ],
    ),
    "empty file": ("tsv", "", []),
    "empty csv": ("csv", "", []),
    "txt": (
        "txt",
        "a cat \n\n a dog\u2028b\r\n",
        [(1, {"text": "a cat"}), (3, {"text": "a dog\u2028b"})],
    ),
    "json": (
        "json",
        ' [{"a": 1,\n"b": ["é"]}, {"a": null}]\n',
        [(1, {"a": 1, "b": ["é"]}), (2, {"a": None})],
    ),
    "json of one object a line": ("json", '{"a": 1}\n\n{"a": 2}\n', [(1, {"a": 1}), (3, {"a": 2})]),
    "empty json": ("json", "[]", []),
    "empty jsonl": ("jsonl", "\n", []),
    "header alone": ("tsv", "a\tb\n", []),
}


@pytest.mark.parametrize(("reader", "content", "expected"), READABLE.values(), ids=READABLE)
def test_reads(put, reader, content, expected):
    assert list(READERS[reader](put(content))) == expected


def test_a_csv_field_of_any_length(put):
    text = "word " * 40_000
    limit = csv.field_size_limit()
    assert list(READERS["csv"](put(f'a,b\n"{text}",1\n'))) == [(2, {"a": text, "b": "1"})]
    with pytest.raises(InputError):
        list(READERS["csv"](put('a\n"b"c\n')))
    assert csv.field_size_limit() == limit, "the limit of the process is as before"


@pytest.mark.parametrize("value", ['"\\ud800"', '["a", "b\\uDC00"]', '{"x": "\\ud83d\\ud83d"}'])
def test_a_lone_surrogate_is_named_with_its_line(put, value):
    path = put(f'{{"a": "\\ud83d\\ude00"}}\n{{"a": 1, "b": {value}}}\n')
    lines = READERS["jsonl"](path)
    assert next(lines) == (1, {"a": "😀"})
    with pytest.raises(InputError, match="line 2: b contains a lone surrogate: not valid text$"):
        next(lines)


# what str.splitlines takes for line ends and a file of lines does not
@pytest.mark.parametrize(
    "separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"], ids=ascii
)
@pytest.mark.parametrize("reader", ["tsv", "csv", "jsonl"])
def test_only_a_newline_ends_a_line(put, reader, separator):
    text = f"one{separator}two"
    content = {
        "tsv": f"a\tb\n{text}\t2\n3\t4\n",
        "csv": f"a,b\n{text},2\n3,4\n",
        # json forbids raw control characters in strings, and allows the others as they are
        "jsonl": "\n"
        + json.dumps({"a": text, "b": "2"}, ensure_ascii=separator < " ")
        + '\n{"a": "3", "b": "4"}\n',
    }[reader]
    assert list(READERS[reader](put(content))) == [
        (2, {"a": text, "b": "2"}),
        (3, {"a": "3", "b": "4"}),
    ]


def test_stsbenchmark_lines_of_seven_and_nine_fields(put):
    seven = ["main-captions", "MSRvid", "2012test", "0001", "5.000", 'A "plane".', "An air plane."]
    nine = [
        "main-news",
        "headlines",
        "2013",
        "7",
        "0.5",
        "He said",
        "She said",
        "licence one",
        "licence two",
    ]
    path = put("\t".join(seven) + "\n" + "\t".join(nine) + "\n", "sts-train.csv")
    rows = list(READERS["stsbenchmark"](path))
    assert rows == [
        (1, dict(zip(FIELDS, seven, strict=True))),
        (2, dict(zip(FIELDS, nine[:7], strict=True))),
    ]


REFUSED = {
    "too few fields": (
        "tsv",
        "a\tb\tc\n1\t2\t3\n1\t2\n",
        ", line 3: 2 fields, expected 3 (a, b, c)",
    ),
    "too few in csv": ("csv", "a,b\n\n1\n", ", line 3: 1 fields, expected 2 (a, b)"),
    "too few in stsbenchmark": (
        "stsbenchmark",
        "a\tb\tc\td\t1\tx\n",
        f", line 1: 6 fields, expected 7 ({', '.join(FIELDS)})",
    ),
    "a column twice": (
        "tsv",
        "a\tb\ta\n1\t2\t3\n",
        ", line 1: duplicate column name in: a, b, a",
    ),
    "a column twice in csv": (
        "csv",
        "a,a\n1,2\n",
        ", line 1: duplicate column name in: a, a",
    ),
    "open quote": ("csv", 'a,b\n1,"2\n3,4\n', ", line 3: not CSV"),
    "text after a quote": ("csv", 'a,b\n1,"2"x\n', ", line 2: not CSV"),
    "not JSON": ("jsonl", '{"a": 1}\n\n{"a": \n', ", line 3: not JSON"),
    "a JSON list": ("jsonl", "[1, 2]\n", ", line 1: expected a JSON object, not list"),
    "a JSON number": ("jsonl", '{"a": 1}\n7\n', ", line 2: expected a JSON object, not int"),
    "an array of no objects": (
        "json",
        '[{"a": 1}, 7]',
        ", line 2: expected a JSON object, not int",
    ),
    "an open array": ("json", '[{"a": 1}', ": not JSON"),
    "a surrogate in an array": (
        "json",
        '[{"a": 1}, {"b": "\\ud800"}]',
        ", line 2: b contains a lone surrogate: not valid text",
    ),
    "Latin-1": ("tsv", b"a\tb\n1\t2\ncaf\xe9\t3\n", ", line 3: byte 0xe9 is not UTF-8"),
    "not UTF-8 at the start": ("tsv", b"\xff\xfea\n", ", line 1: byte 0xff is not UTF-8"),
    "not UTF-8 after a BOM": (
        "tsv",
        b"\xef\xbb\xbfa\tb\n1\t2\n\xe9\t3\n",
        ", line 3: byte 0xe9 is not UTF-8",
    ),
    "not UTF-8 in csv": ("csv", b"a,b\n\n\n\x80,1\n", ", line 4: byte 0x80 is not UTF-8"),
    "not UTF-8 in jsonl": (
        "jsonl",
        b'{"a": 1}\n{"a": "\xc3"}\n',
        ", line 2: byte 0xc3 is not UTF-8",
    ),
}


@pytest.mark.parametrize(("reader", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_refuses_in_one_line_with_the_place(put, reader, content, said):
    assert refusal(put(content), reader).startswith(said)


def parquet_file(path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_parquet(tmp_path):
    rows = [{"a": "é", "b": 1.5, "c": ["x", "y"]}, {"a": None, "b": 2.0, "c": []}]
    path = parquet_file(tmp_path / "x.parquet", rows)
    assert list(READERS["parquet"](path)) == [(1, rows[0]), (2, rows[1])]


def test_what_is_no_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"a\tb\n1\t2\n")
    assert refusal(path, "parquet").startswith(": cannot be read: ")


def test_parquet_needs_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(tmp_path / "x.parquet", "parquet") == (
        ": parquet needs the package pyarrow; pip install -e '.[datasets]'"
    )


READERS_HERE = [name for name in READERS if name != "parquet" or find_spec("pyarrow")]


@pytest.mark.parametrize("reader", READERS_HERE)
@pytest.mark.parametrize("name", ["none.tsv", "none.tsv.gz"])
def test_missing_file(tmp_path, reader, name):
    assert refusal(tmp_path / name, reader) == ": no such file"


@pytest.mark.parametrize("reader", READERS_HERE)
def test_folder_in_place_of_a_file(tmp_path, reader):
    assert "cannot be read" in refusal(tmp_path, reader)


BROKEN_GZIP = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "changed in the middle": lambda whole: whole[:40] + bytes(20) + whole[60:],
    "cut in its checksum": lambda whole: whole[:-4],
    "wrong checksum": lambda whole: whole[:-8] + bytes(4) + whole[-4:],
    "not gzip": lambda whole: b"a\tb\n1\t2\n",
}


@pytest.mark.parametrize("damage", BROKEN_GZIP.values(), ids=BROKEN_GZIP)
def test_broken_gzip(tmp_path, damage):
    whole = gzip.compress(b"a\tb\n" + b"".join(b"%d\t%d\n" % (i, i * i) for i in range(500)))
    path = tmp_path / "rows.tsv.gz"
    path.write_bytes(damage(whole))
    assert "cannot be read" in refusal(path, "tsv")


def test_rows_before_a_bad_line_are_read(put):
    rows = READERS["tsv"](put("a\tb\n1\t2\n3\n"))
    assert next(rows) == (2, {"a": "1", "b": "2"})
    with pytest.raises(InputError, match="line 3"):
        next(rows)


def test_a_byte_order_mark_is_no_text(put):
    assert read_text(put("\ufeffx\ufeff")) == "x\ufeff"


# Cs: a lone surrogate is no UTF-8
anything = st.characters(
    exclude_categories=["Cs"], exclude_characters="\0"
)  # NUL: csv.writer of Python 3.10 cannot write it
fields = st.text(anything, max_size=8)


@given(st.lists(st.tuples(fields, fields), max_size=5))
def test_csv_gives_back_what_was_written(tmp_path_factory, rows):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = tmp_path_factory.getbasetemp() / "given.csv"
    path.write_bytes(buffer.getvalue().encode())
    assert [tuple(row.values()) for _, row in READERS["csv"](path)] == rows


@given(st.lists(st.tuples(fields, fields), max_size=5))
def test_jsonl_gives_back_what_was_written(tmp_path_factory, rows):
    lines = [json.dumps({"a": a, "b": b}, ensure_ascii=False) for a, b in rows]
    path = tmp_path_factory.getbasetemp() / "given.jsonl"
    path.write_bytes("\n".join(lines).encode())
    assert list(READERS["jsonl"](path)) == [
        (i, {"a": a, "b": b}) for i, (a, b) in enumerate(rows, start=1)
    ]


plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=8)


@given(st.lists(st.tuples(plain, plain), max_size=5))
def test_tsv_gives_back_what_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "given.tsv"
    path.write_bytes("".join(f"{a}\t{b}\n" for a, b in [("a", "b"), *rows]).encode())
    assert [tuple(row.values()) for _, row in READERS["tsv"](path)] == rows
