"""What is refused before the first run starts, and the number of rows of each run."""

import pytest

from sbert.errors import InputError
from sbert.sweeps.config import FoldsConfig
from sbert.sweeps.inputs import RowCounts, check_inputs, describe_counts


@pytest.mark.parametrize(("options", "message"), [
    ({"folds": FoldsConfig(33, "row")},
     "run fold=1: .*folds is 33, but there are 32 rows; set folds to 32 or fewer"),
    ({"folds": FoldsConfig(2, "topic")},
     "run fold=1: .*no column 'topic'; available: sentence1, sentence2, score"),
    ({"set": {"data.dev.0.path": "nowhere.tsv"}}, "run run: nowhere.tsv: no such file"),
    ({"set": {"data.dev.0.name": "test"}}, "run run: data: two evaluated datasets are named test"),
    ({"set": {"model.path": "sweeps/first/seed={seed}/best"}, "seeds": [1]},
     "run seed=1: model sweeps/first/seed=1/best: no"),
    ({"set": {"data.train.1.limit": None}, "sizes": [33]},
     "run size=33: size 33 is more than the 32 rows of one"),
])  # fmt: skip
def test_bad_data_is_found_before_the_first_run(plan, options, message):
    runs = plan(**options).runs()
    with pytest.raises(InputError, match=message):
        check_inputs(runs)


def test_a_run_may_start_from_the_model_of_an_earlier_one(plan):
    made = plan().config
    second = {"model.path": f"{made.runs}/{made.name}/first,seed={{seed}}/best"}
    runs = plan(variants={"first": {}, "second": second}, seeds=[1, 2]).runs()
    check_inputs(runs, chained=True)
    message = "^run second,seed=1: model.path .*first,seed=1/best is the model of an earlier run"
    with pytest.raises(InputError, match=message):
        check_inputs(runs)
    with pytest.raises(InputError, match="^run second,seed=1: model .*first,seed=1/best: no"):
        check_inputs(runs[2:], chained=True)


def test_rows_that_are_trained_on_and_evaluated_are_found_before_the_first_run(plan, pairs_file):
    held_out = {
        "data.dev.0.path": str(pairs_file),
        "data.dev.0.beyond": 20,
        "data.train.0.limit": 20,
    }
    check_inputs(plan(set=held_out).runs())
    runs = plan(set=held_out, grid={"data.train.0.limit": [20, 24]}).runs()
    message = (
        "run data.train.0.limit=24: data: dev is evaluated on 4 rows that one trains on, from line"
    )
    with pytest.raises(InputError, match=message):
        check_inputs(runs)


def test_good_data_is_read_once(plan, monkeypatch):
    from sbert.sweeps import inputs as module

    read, calls = module.read_dataset, []
    monkeypatch.setattr(
        module,
        "read_dataset",
        lambda dataset, **options: calls.append(dataset) or read(dataset, **options),
    )
    check_inputs(plan(seeds=[1, 2, 3]).runs())
    assert [dataset.name for dataset in calls] == ["one", "two", "dev", "test"]


def test_the_rows_of_each_run_are_counted(plan):
    counts = check_inputs(plan(set={"data.train.1.limit": None}, sizes=[5, 32]).runs())
    assert counts == [RowCounts(10, 64), RowCounts(64, 64)]  # two training sets, dev and test of 32
    in_folds = check_inputs(plan(folds=FoldsConfig(4, "row"), train=None).runs())
    assert {run.train for run in in_folds} <= set(range(37, 41))  # three quarters of 32 and of 20


@pytest.mark.parametrize(("counts", "text"), [
    ([RowCounts(1400, 300)], "1 run that trains on 1,400 rows and evaluates 300"),
    ([RowCounts(9, 3), RowCounts(7, 3)], "2 runs that train on 7 to 9 rows and evaluate 3"),
])  # fmt: skip
def test_counts_in_words(counts, text):
    assert describe_counts(counts) == text
