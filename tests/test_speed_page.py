"""docs/speed.md has the figures of docs/speed.jsonl, as benchmarks/speed.py puts them there."""

import importlib.util
import json

import pytest
from support import ROOT

PRINTED = """\
warning: something
model, 32 pairs; 1 threads

| training | pairs/s |
| -------- | ------: |
| ours     |      17 |

worst on: long texts
"""
PAGE = """\
# Speed

<!-- speed: amx --> old <!-- end -->
between
<!-- speed: cuda -->

<!-- end -->
"""


@pytest.fixture(scope="module")
def speed():
    """benchmarks/speed.py as a module."""
    spec = importlib.util.spec_from_file_location("speed", ROOT / "benchmarks" / "speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_figures(speed):
    page = (ROOT / speed.PAGE).read_text("utf-8")
    figures = speed.read_figures(ROOT / speed.FIGURES)
    assert speed.render(page, figures) == page, "run python benchmarks/speed.py --render"
    assert {machine for _, machine in figures} <= speed.machines(page)
    assert {part for part, _ in figures} <= {*speed.PARTS}


def test_what_a_benchmark_printed_becomes_a_block(speed, tmp_path):
    record = {
        "part": "train",
        "machine": "amx",
        "command": "python benchmarks/train_step.py",
        "commit": "abc",
        **speed.parse(PRINTED),
    }
    assert record["about"] == "model, 32 pairs; 1 threads"
    assert record["table"] == PRINTED.splitlines()[3:6]
    file = tmp_path / "speed.jsonl"
    speed.write_figures(file, {("train", "amx"): record})
    assert json.loads(file.read_text()) == record
    page = speed.render(PAGE, speed.read_figures(file))
    assert "old" not in page
    assert page.endswith("between\n<!-- speed: cuda -->\n\n<!-- end -->\n")
    block = page.partition("<!-- speed: amx -->")[2].partition("<!-- end -->")[0]
    assert block.strip().splitlines() == [
        "`python benchmarks/train_step.py` at abc: model, 32 pairs; 1 threads",
        "",
        *PRINTED.splitlines()[3:6],
        "",
        "worst on: long texts",
    ]
    assert speed.render(page, speed.read_figures(file)) == page
    assert speed.machines(page) == {"amx", "cuda"}


def test_the_commands_exist(speed):
    for part in speed.PARTS.values():
        assert (ROOT / "benchmarks" / part.command.split()[0]).exists()
