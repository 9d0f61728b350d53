"""The one table of `make gpu`, from benchmarks that need no GPU."""

import os
import subprocess
import sys

from support import ROOT

SCRIPT = """
import sys
print("a header line")
print("| encoder | sentences/s | ratio | Spearman |")
print("| --- | ---: | ---: | ---: |")
print("| sbert, auto | 930 | 2.53 | 82 |")
print("| product alone | 7 | | 1 |")
sys.exit(int(sys.argv[1]))
"""


def test_the_rows_of_a_benchmark_and_its_failure(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    (tmp_path / "bench.py").write_text(SCRIPT)
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    assert gpu.run("bench.py 0") == [
        ["bench.py 0", "sbert, auto", "930 sentences/s", "2.53"],
        ["bench.py 0", "product alone", "7 sentences/s", "-"],
    ]
    assert gpu.run("bench.py 3") == [["bench.py 3", "-", "failed with status 3", "-"]]
    for commands in gpu.BENCHMARKS.values():
        for command in commands:
            assert (ROOT / "benchmarks" / command.split()[0]).exists()


def test_without_a_gpu_there_is_one_line():
    # also on a machine with GPUs, where it would measure for minutes
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/gpu.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 2
    assert "torch finds no GPU in this machine" in done.stderr.splitlines()[-1]
