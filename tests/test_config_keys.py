"""Keys of configurations: unknown ones and changed ones are named with their place."""

from dataclasses import dataclass, field

import pytest
from support import fails

from sbert.config_keys import check_keys, first_difference
from sbert.errors import InputError


@dataclass
class Inner:
    path: str
    limit: int | None = None


@dataclass
class Outer:
    name: str
    one: Inner | None = None
    many: list[str | Inner] = field(default_factory=list)
    free: dict[str, int] = field(default_factory=dict)


KNOWN = """
name: x
one: {path: a}
many: [a, {path: b, limit: 3}]
free: {anything: 1}
"""


@pytest.mark.parametrize(
    "content", [KNOWN, "", "one:\nmany:\n", "one.path: a\n", "one: file.yaml\n", "resume: true\n"]
)
def test_known_keys(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    check_keys(path, Outer, flags=["resume"])
    check_keys(tmp_path / "missing.yaml", Outer)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nme: x\n", "unknown key nme; known: name, one, many, free"),
        ("one: {pth: a}\n", "unknown key one.pth; known: path, limit"),
        ("many: [a, {path: b, lmit: 1}]\n", "unknown key many[1].lmit; known: path, limit"),
        ("1: x\n", "unknown key 1; known: name, one, many, free"),
    ],
)
def test_unknown_keys_are_named_with_their_place(tmp_path, content, said):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        check_keys(path, Outer)
    assert str(error.value) == f"{path}: {said}"


def test_commands_name_the_unknown_key(tmp_path, train_command, evaluate_command, capsys):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {train: [{path: a.tsv}, {path: b.tsv, pth: c}]}\n")
    line = fails(train_command, capsys, path)
    assert f"{path}: unknown key data.train[1].pth; known: path, split, task" in line
    path.write_text("model: x\ndata: [stsb, {path: b.tsv, pth: c}]\n")
    line = fails(evaluate_command, capsys, "--config", path)
    assert f"{path}: unknown key data[1].pth; known: path, split, task" in line


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("a: 1\nb: 2\n", "b: 2\na: 1\n", None),  # another order
        ("b: 1\n", "b: 2\n", "b was 1, now 2"),
        ("limit: 1\n", "limit: 1.0\n", "limit was 1, now 1.0"),
        ("a:\n- {b: [x, y]}\n", "a:\n- {b: [x, z]}\n", 'a.0.b.1 was "y", now "z"'),
        ("a: 1\n", "a: 1\nb: [x]\n", 'b.0 was not set, now "x"'),
        ("a: []\n", "a: null\n", "a was [], now null"),
        ("a: {b: 1}\n", "a: null\n", "a.b was 1, now not set"),
        ("train.py --x 1", "train.py --x 2", 'it was "train.py --x 1", now "train.py --x 2"'),
    ],
)
def test_the_first_difference(old, new, difference):
    assert first_difference(old, new) == difference
