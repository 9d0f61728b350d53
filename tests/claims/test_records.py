"""Runs that are missing, and the records that are kept: claims.py."""

from claims_inputs import finish_both, records, row
from support import fails


def test_what_is_not_run_yet(runs, claims, claims_command, capsys):
    path = claims()
    printed = claims_command(path)
    assert row(printed)[2:6] == ["-", "0 of 2", "a - b", "not run yet"]
    missing = "mine: 4 not run yet (a,seed=1, a,seed=2, b,seed=1, ...)"
    assert f"{missing}: python sweep.py --config sweep.yaml\n" in printed
    assert printed.splitlines()[-1].startswith("1 claims: 1 not run yet; written to ")
    (runs.folder / "claims.jsonl").unlink()
    line = fails(claims_command.main, capsys, ["--config", str(path), "--strict"])
    assert line.startswith(f"claims.py: error: {missing}")
    assert not (runs.folder / "claims.jsonl").exists()
    finish_both(runs)
    claims_command(path, "--strict")


def test_strict_refuses_one_missing_run(runs, claims, claims_command, capsys):
    finish_both(runs)
    (runs.planned["b,seed=2"].folder / "result.json").unlink()
    line = fails(claims_command.main, capsys, ["--config", str(claims()), "--strict"])
    assert "mine: 1 not run yet (b,seed=2): python sweep.py" in line


def test_without_records_nothing_is_written(runs, claims, claims_command):
    finish_both(runs)
    printed = claims_command(claims(records=None))
    assert printed.splitlines()[-1] == "1 claims: 1 holds"
    assert not list(runs.folder.rglob("*.jsonl"))


def test_a_run_is_taken_from_the_first_root_that_has_it(runs, claims, claims_command):
    finish_both(runs)
    elsewhere = runs.folder / "elsewhere" / runs.planned["a,seed=1"].folder
    elsewhere.parent.mkdir(parents=True)
    runs.planned["a,seed=1"].folder.rename(elsewhere)
    assert row(claims_command(claims()))[3] == "1 of 2 and 2"
    assert row(claims_command(claims(roots=[".", "elsewhere"])))[3] == "2"


def test_records_of_runs_that_are_elsewhere_are_kept(runs, claims, claims_command):
    finish_both(runs)
    first = claims_command(claims())
    (runs.folder / "sweeps").rename(runs.folder / "moved")
    again = claims_command(claims())
    assert row(again) == row(first)
    assert "claims.jsonl, of more runs than are here: a is better\n" in again
    # of other words it is still the claim; of another contrast it is another
    renamed = claims_command(claims({"published": "a 81"}))
    assert row(renamed)[1:6] == ["a 81 (Mine, table 1)", *row(first)[2:6]]
    assert row(claims_command(claims({"contrasts": [{"order": ["b", "a"]}]})))[5] == "not run yet"


def test_a_record_of_more_runs_is_kept(runs, claims, claims_command):
    finish_both(runs)
    first = claims_command(claims())
    (runs.planned["a,seed=2"].folder / "result.json").rename(runs.folder / "moved.json")
    again = claims_command(claims())
    assert row(again) == row(first)
    assert "of more runs than are here: a is better\n" in again
    [record] = records(runs)
    assert len(record["figures"]["a"]["runs"]) == 2
    (runs.folder / "moved.json").rename(runs.planned["a,seed=2"].folder / "result.json")
    assert "than are here" not in claims_command(claims())


def test_a_record_with_a_figure_of_more_runs_is_kept(runs, claims, claims_command):
    finish_both(runs)
    results = {label: run.folder / "result.json" for label, run in runs.planned.items()}
    later = results["a,seed=2"].rename(runs.folder / "later.json")
    results["b,seed=2"].unlink()
    first = claims_command(claims())
    later.rename(results["a,seed=2"])
    results["b,seed=1"].unlink()  # as many runs as before, but none of b
    again = claims_command(claims())
    assert row(again) == row(first)
    assert "of more runs than are here: a is better\n" in again


def test_records_of_other_claims_are_not_lost(runs, claims, claims_command, capsys):
    finish_both(runs)
    claims_command(claims({}, {"claim": "another"}, {"claim": "b is worse"}))
    before = (runs.folder / "claims.jsonl").read_bytes()
    line = fails(claims_command.main, capsys, ["--config", str(claims())])
    assert "claims.jsonl has records of claims that the configuration does not name" in line
    assert "another; b is worse; delete their lines" in line
    assert (runs.folder / "claims.jsonl").read_bytes() == before
