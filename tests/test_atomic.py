"""Result files: resuming gives the same bytes whenever a command is stopped, and no old file is
harmed."""

import errno
import json
import os
import subprocess
import sys

import pytest
from support import ROOT

from sbert import InputError
from sbert.atomic import ResumableFile, check_texts, encode_lines, locked

UNITS = [b"first\n", b"second unit\n", b"", b"4\n"]
WHOLE = b"".join(UNITS)
SETTINGS = {"model": "abc", "k": 3, "range": (0, 5)}


class Kill(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


def write(path, upto=4, finish=True, result=None, **options):
    """What a task does, from wherever the file stands, up to so many units."""
    output = ResumableFile(path, SETTINGS, **options)
    for unit in range(output.units, upto):
        output.append(UNITS[unit], {"units": unit + 1})
    if finish:
        output.finish(result and result(output.read()))
    return output


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def finished(result=WHOLE):
    return {"x.tsv": result, "x.tsv.json": (json.dumps(SETTINGS, indent=2) + "\n").encode()}


def test_units_become_a_file_with_its_settings(tmp_path):
    output = write(tmp_path / "new/folder/x.tsv")
    assert files(tmp_path / "new/folder") == finished()
    assert (output.units, output.facts) == (4, {"units": 4})


def test_what_is_read_may_be_replaced_when_it_is_finished(tmp_path):
    write(tmp_path / "x.tsv", result=bytes.upper)
    assert files(tmp_path) == finished(WHOLE.upper())


def dying(call, left):
    """`call`, which kills the process instead of being done when nothing is left."""

    def run(*args, **options):
        left[0] -= 1
        if left[0] < 0:
            raise Kill
        return call(*args, **options)

    return run


@pytest.mark.parametrize(
    "result", [None, bytes.upper, lambda data: b""], ids=["appended", "replaced", "empty"]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_stopped_at_any_point_it_goes_on_to_the_same_bytes(
    tmp_path, monkeypatch, result, overwrite
):
    """Killed before each call in turn that changes the disk."""
    expected = finished(result(WHOLE) if result else WHOLE)
    for last in range(100):
        folder = tmp_path / str(last)
        folder.mkdir()
        path = folder / "x.tsv"
        if overwrite:
            ResumableFile(path, {"old": True}).finish(b"old")
            part(folder, "y.tsv").rename(folder / "x.tsv.part")
            (folder / "y.tsv.part.json").rename(folder / "x.tsv.part.json")
        with monkeypatch.context() as patch:
            left = [last]
            patch.setattr(
                os, "fsync", dying(lambda file: None, left)
            )  # a busy disk would take minutes
            for name in ("unlink", "replace"):
                patch.setattr(os, name, dying(getattr(os, name), left))
            try:
                write(path, result=result, overwrite=overwrite)
                break
            except Kill:
                pass
        old = path.exists() and path.read_bytes() == b"old"
        if (
            path.exists() and (folder / "x.tsv.json").exists()
        ):  # no result stands beside the settings of another
            assert (json.loads((folder / "x.tsv.json").read_bytes()) == {"old": True}) == old
        if not path.exists() or old:
            write(path, result=result, overwrite=path.exists())
        assert files(folder).items() >= expected.items()
    assert 10 < last < 100
    assert files(folder) == expected


def part(folder, name="x.tsv"):
    """Two units are done."""
    write(folder / name, upto=2, finish=False).file.close()
    return folder / f"{name}.part"


@pytest.mark.parametrize("rest", [b"", b"second un", b"\0" * 1000])
def test_what_was_written_after_the_last_state_is_forgotten(tmp_path, rest):
    with part(tmp_path).open("ab") as file:
        file.write(rest)
    (tmp_path / "x.tsv.part.json.new").write_bytes(b'{"units": 3, "si')
    (tmp_path / "x.tsv.new").write_bytes(b"half a res")
    output = ResumableFile(tmp_path / "x.tsv", SETTINGS)
    assert (output.units, output.facts, output.read()) == (2, {"units": 2}, b"first\nsecond unit\n")
    output.append(UNITS[3])
    assert output.facts == {"units": 2}
    output.finish(output.read())
    assert (tmp_path / "x.tsv").read_bytes() == b"first\nsecond unit\n4\n"


def test_a_damaged_state_is_refused(tmp_path):
    part(tmp_path)
    (tmp_path / "x.tsv.part.json").write_text('{"units"')
    with pytest.raises(InputError, match="x.tsv.part.json: is damaged; pass --overwrite"):
        write(tmp_path / "x.tsv")
    write(tmp_path / "x.tsv", overwrite=True)
    assert files(tmp_path) == finished()


@pytest.mark.parametrize("loss", ["missing", "short"])
def test_a_part_that_lacks_what_its_state_tells_of_is_refused(tmp_path, loss):
    path = part(tmp_path)
    if loss == "missing":
        path.unlink()
    else:
        os.truncate(path, 7)
    with pytest.raises(
        InputError,
        match="x.tsv.part: is shorter than the 2 units recorded in x.tsv.part.json; pass --over",
    ):
        write(tmp_path / "x.tsv")
    write(tmp_path / "x.tsv", overwrite=True)
    assert files(tmp_path) == finished()


def test_an_overwritten_part_is_forgotten_before_its_file_is(tmp_path):
    """Otherwise a state of two units would stand beside an empty part."""
    part(tmp_path)
    ResumableFile(tmp_path / "x.tsv", SETTINGS, overwrite=True).file.close()  # and stopped there
    assert ResumableFile(tmp_path / "x.tsv", SETTINGS).units == 0


@pytest.mark.parametrize(("changes", "message"), [
    ({"k": 4}, "was started with k 3, now 4; resume with the original settings or pass --over"),
    ({"model": None}, "was started with model abc, now None"),
    ({"range": (0, 6)}, r"was started with range \[0, 5\], now \[0, 6\]"),
    ({"more": 1}, "was started with more None, now 1"),
])  # fmt: skip
def test_a_part_of_other_settings_is_refused(tmp_path, changes, message):
    part(tmp_path)
    before = files(tmp_path)
    with pytest.raises(InputError, match=message):
        ResumableFile(tmp_path / "x.tsv", SETTINGS | changes)
    assert files(tmp_path) == before
    assert ResumableFile(tmp_path / "x.tsv", SETTINGS | changes, overwrite=True).units == 0


def test_a_finished_result_is_not_touched_unless_asked(tmp_path):
    write(tmp_path / "x.tsv")
    before = files(tmp_path)
    with pytest.raises(
        InputError, match="x.tsv: already exists; pass --overwrite, or name another output"
    ):
        ResumableFile(tmp_path / "x.tsv", SETTINGS | {"k": 9})
    assert files(tmp_path) == before
    begun = ResumableFile(tmp_path / "x.tsv", SETTINGS | {"k": 9}, overwrite=True)
    begun.append(b"new")
    assert (tmp_path / "x.tsv").read_bytes() == before["x.tsv"]
    begun.finish()
    after = files(tmp_path)
    assert after.keys() == before.keys()
    assert after["x.tsv"] == b"new"
    assert json.loads(after["x.tsv.json"])["k"] == 9


@pytest.mark.parametrize("place", ["file/x.tsv", "file/below/x.tsv"])
def test_a_place_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    for overwrite in (False, True):
        with pytest.raises(
            InputError, match=f"{place}: cannot be written: (Not a directory|File exists)"
        ):
            ResumableFile(tmp_path / place, SETTINGS, overwrite)
    assert files(tmp_path) == {"file": b"not a folder"}


def test_a_folder_is_no_output(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: is a folder; name a file"):
        ResumableFile(tmp_path, SETTINGS, overwrite=True)


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_keeps_the_units_before(tmp_path, monkeypatch, name):
    output = write(tmp_path / "x.tsv", upto=2, finish=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        message = (
            "x.tsv.part: cannot be written: No space left on device; the first 2 units are kept"
        )
        with pytest.raises(InputError, match=message):
            output.append(UNITS[2])
    assert ResumableFile(tmp_path / "x.tsv", SETTINGS).units == 2
    write(tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_bytes() == WHOLE


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_at_the_end(tmp_path, monkeypatch, name):
    write(tmp_path / "x.tsv", result=lambda data: b"old")
    output = write(tmp_path / "x.tsv", finish=False, overwrite=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(InputError, match="x.tsv: cannot be written: No space left on device"):
            output.finish(b"new")
    if name == "fsync":
        assert (tmp_path / "x.tsv").read_bytes() == b"old"
        (tmp_path / "x.tsv").unlink()
    assert ResumableFile(tmp_path / "x.tsv", SETTINGS).read() == WHOLE


def test_a_disk_that_is_really_full(tmp_path):
    """The kernel refuses files beyond some size: only our line is printed, also as Python exits."""
    code = (
        "import resource, sys\n"
        "from sbert.atomic import ResumableFile\n"
        "from sbert.errors import one_line_errors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3500, 3500))\n"
        "with one_line_errors('mine.py'):\n"
        "    output = ResumableFile(sys.argv[1], {})\n"
        "    for _ in range(9): output.append(b'x' * 1000)\n"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "x.tsv")]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"mine.py: error: {tmp_path}/x.tsv.part: cannot be written: File too large; the first 3 "
    )
    assert done.stderr.count("\n") == 1
    assert ResumableFile(tmp_path / "x.tsv", {}).read() == b"x" * 3000


ROWS = [
    {"rank": 1, "score": 0.5, "text": "a cat"},
    {"rank": 2, "score": -1e-7, "text": 'ein "Hüt" \u2028'},
]


def test_lines_of_both_endings():
    tsv = '1\t0.500000\ta cat\n2\t-0.000000\tein "Hüt" \u2028\n'
    assert encode_lines(ROWS, "x.tsv", header=False).decode() == tsv
    assert encode_lines(ROWS, "x.tsv", header=True).decode() == "rank\tscore\ttext\n" + tsv
    for header in (False, True):
        assert [
            json.loads(line)
            for line in encode_lines(ROWS, "x.jsonl", header).decode().split("\n")[:-1]
        ] == ROWS
        assert encode_lines([], "x.tsv", header) == encode_lines([], "x.jsonl", header) == b""


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\r"])
def test_texts_that_tsv_cannot_hold(text):
    for call in (
        lambda: encode_lines([{"text": text}], "x.tsv", True),
        lambda: check_texts(["a", text], "x.tsv"),
    ):
        with pytest.raises(
            InputError, match="x.tsv: TSV cannot hold a text with a tab or a line break: 'a"
        ):
            call()
    check_texts([text], "x.jsonl")
    assert json.loads(encode_lines([{"text": text}], "x.jsonl", True)) == {"text": text}


def test_a_file_that_another_process_makes_may_be_refused(tmp_path):
    path = tmp_path / "study.db"
    with (
        locked(path, "is being written; wait"),
        pytest.raises(InputError, match="study.db: is being written; wait"),
        locked(path, "is being written; wait"),
    ):
        pass
    with locked(path, "is being written; wait"):
        pass
