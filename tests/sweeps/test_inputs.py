"""What is refused before the first run starts, and the number of rows of each run."""

import pytest
from retrieval_inputs import write_project_layout

from sbert.errors import InputError
from sbert.sweeps import inputs
from sbert.sweeps.config import FoldsConfig
from sbert.sweeps.inputs import RowCounts, check_inputs, describe_counts
from sbert.training.datasets import read_run_data


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


def test_good_data_is_read_once(plan, pairs_file, monkeypatch):
    held_out = {"path": str(pairs_file), "name": "out", "limit": 2}
    seeds = plan(seeds=[1, 2, 3], set={"data.held_out": [held_out]}).runs()
    calls = []
    for function in (inputs.read_dataset, inputs.read_held_out):

        def counted(data, *options, function=function):
            calls.append(data)
            return function(data, *options)

        monkeypatch.setattr(inputs, function.__name__, counted)
    check_inputs(seeds)
    data = seeds[0].config.data
    assert sorted(map(repr, calls)) == sorted(
        map(repr, [*data.train, *data.dev, *data.test, data.held_out])
    )


def test_rows_that_train_py_leaves_out_are_not_trained_on(plan, pairs_file):
    """A dev set of the training file, whose rows are held out."""
    dev = [{"path": str(pairs_file), "range": [0, 5], "name": "dev", "limit": 8}]
    runs = plan(set={"data.dev": dev, "data.held_out": dev, "data.test": []}).runs()
    [counts] = check_inputs(runs)
    data = read_run_data(runs[0].config)
    assert counts == RowCounts(sum(map(len, data.train)), 8)
    assert counts.train < 32 + 20 - 8


def test_labels_that_no_loss_reads_are_not_read(plan, pairs_file):
    data = {"data.train": [{"path": str(pairs_file)}], "data.test": []}  # without range
    loss = {"loss": "MaskedLanguageModelLoss"}
    assert check_inputs(plan(set=data | loss).runs()) == [RowCounts(32, 32)]
    with pytest.raises(InputError, match="set range to the file's lowest and highest"):
        check_inputs(plan(set=data).runs())


@pytest.mark.parametrize(("changes", "message"), [
    ({"data.train.0": {"path": "folder"}},
     "a retrieval folder is for evaluation; to train on it, mine triplets"),
    ({"data.train": []}, "data.train: is empty; name one training dataset or more"),
    ({"loss": "TripletLoss"}, "TripletLoss reads 3 texts and no labels"),
])  # fmt: skip
def test_what_train_py_refuses_is_found_before_the_first_run(plan, tmp_path, changes, message):
    """Where the first variant is good."""
    if "data.train.0" in changes:
        changes = {"data.train.0": {"path": str(write_project_layout(tmp_path)), "split": "test"}}
    runs = plan(variants={"a": {}, "b": changes}).runs()
    with pytest.raises(InputError, match=f"^run b: .*{message}"):
        check_inputs(runs)


def test_the_rows_of_each_run_are_counted(plan):
    counts = check_inputs(plan(set={"data.train.1.limit": None}, sizes=[5, 32]).runs())
    assert counts == [RowCounts(10, 64), RowCounts(64, 64)]  # two training sets, dev and test of 32
    loss = {"loss": "BinaryCrossEntropyLoss", "data.both_orders": True}
    assert check_inputs(plan(set=loss).runs()) == [RowCounts(2 * (32 + 20), 64)]
    in_folds = check_inputs(plan(folds=FoldsConfig(4, "row"), train=None).runs())
    assert {run.train for run in in_folds} <= set(range(37, 41))  # three quarters of 32 and of 20


@pytest.mark.parametrize(("counts", "text"), [
    ([RowCounts(1400, 300)], "1 run that trains on 1,400 rows and evaluates 300"),
    ([RowCounts(9, 3), RowCounts(7, 3)], "2 runs that train on 7 to 9 rows and evaluate 3"),
])  # fmt: skip
def test_counts_in_words(counts, text):
    assert describe_counts(counts) == text
