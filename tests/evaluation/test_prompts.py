"""Prompts of datasets: which are used, that they are put before texts, what tables say of them."""

import numpy as np
import pytest
from evaluation_inputs import cells
from retrieval_inputs import CORPUS, KEPT, QUERIES, write_project_layout
from support import fails
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.prompts import column_prompts, describe_prompts
from sbert.evaluation.scorers import bi_encoder_scorer, pair_scores

PROMPTS = {"query": "the cat ", "passage": "a dog ", "empty": ""}


@pytest.fixture
def prompted(tiny_folder):
    return BiEncoder.from_pretrained(tiny_folder, prompts=PROMPTS, default_prompt_name="passage")


def pairs(task="sts", prompts=None):
    texts = [["house", "a man", "house"], ["park", "house", "a man"]]
    return Rows("pairs", task, texts, np.array([0, 0.5, 1], np.float32), prompts=prompts)


@pytest.mark.parametrize(
    ("task", "named", "expected"),
    [
        ("sts", None, "passage"),
        ("rerank", None, "query, passage"),
        ("sts", ["query", "query"], "query"),
        ("sts", ["", "empty"], "none"),
        ("rerank", ["passage", ""], "passage, none"),
    ],
)
def test_a_dataset_uses_the_prompts_that_it_names_or_those_of_its_task(
    prompted, task, named, expected
):
    assert describe_prompts(column_prompts(pairs(task, named), prompted)) == expected


def test_without_a_default_prompt_pairs_have_none(tiny_folder):
    model = BiEncoder.from_pretrained(tiny_folder, prompts=PROMPTS)
    assert describe_prompts(column_prompts(pairs(), model)) == "none"


def test_an_unknown_prompt_and_any_of_a_cross_encoder_are_refused(prompted, tmp_path):
    with pytest.raises(InputError) as caught:
        column_prompts(pairs(prompts=["qury", "query"]), prompted)
    assert str(caught.value) == (
        "dataset pairs: prompts: the model has no prompt 'qury'; known: query, passage, empty"
    )
    cross = CrossEncoder.from_pretrained(write_classifier(tmp_path / "cross"))
    assert describe_prompts(column_prompts(pairs(), cross)) == "none"
    with pytest.raises(InputError, match="dataset pairs: prompts are for a bi-encoder"):
        column_prompts(pairs(prompts=["query", "query"]), cross)


class Recorded:
    """The model's `encode`; keeps the prompts and texts of each call."""

    def __init__(self, model):
        self.model, self.calls = model, []

    def __call__(self, texts, prompt):
        self.calls.append((prompt, texts))
        return self.model.encode(texts, prompt=prompt, precision="fp32")


def test_prompts_are_put_before_the_texts_of_their_columns(prompted):
    rows, encode = pairs(prompts=["query", "passage"]), Recorded(prompted)
    report = evaluate_rows(rows, bi_encoder_scorer(encode), column_prompts(rows, prompted))
    both = [
        prompted.encode([prompt + text for text in column], prompt="", precision="fp32")
        for prompt, column in zip(("the cat ", "a dog "), rows.texts, strict=True)
    ]
    np.testing.assert_allclose(report.scores, pair_scores(*both)["cosine"], atol=1e-6)
    # each distinct text of a prompt once
    distinct = [("the cat ", ["house", "a man"]), ("a dog ", ["park", "house", "a man"])]
    assert encode.calls == distinct


def test_of_triplets_each_column_has_its_own(prompted):
    texts = [["house", "park"], ["a man", "cat"], ["dog", "park"], [None, "house"]]
    prompts = ["query", "passage", "passage", ""]
    rows, encode = Rows("rows", "triplet", texts, None, prompts=prompts), Recorded(prompted)
    report = evaluate_rows(rows, bi_encoder_scorer(encode), column_prompts(rows, prompted))
    anchors, positives, negatives = (
        prompted.encode([prompt + text for text in column], prompt="", precision="fp32")
        for prompt, column in zip(("the cat ", "a dog ", "a dog "), texts, strict=False)
    )
    last = prompted.encode(["house"], prompt="", precision="fp32")
    near, far, further = (
        pair_scores(a, b)["cosine"]
        for a, b in ((anchors, positives), (anchors, negatives), (anchors[1:], last))
    )
    assert report.primary == np.mean([near[0] > far[0], near[1] > max(far[1], further[0])])
    assert encode.calls[-1] == ("", ["house"])


def test_retrieval_uses_query_and_document_prompts_by_itself(prompted, tmp_path):
    rows = read_dataset(DatasetConfig(str(write_project_layout(tmp_path / "small")), "test"))
    encode = Recorded(prompted)
    evaluate_rows(rows, bi_encoder_scorer(encode), column_prompts(rows, prompted))
    assert encode.calls == [
        ("the cat ", [QUERIES[name] for name in KEPT]),
        ("a dog ", list(CORPUS.values())),
    ]


# evaluate.py


@pytest.fixture
def options():
    return ["--prompts", str(PROMPTS).replace("'", '"'), "--default_prompt_name", "query"]


def test_tables_and_reports_say_which_prompts_were_used(
    run, tiny_folder, pairs_file, options, tmp_path
):
    second = f"{{path: {pairs_file}, range: [0, 5], name: own, prompts: [passage, '']}}"
    folder = write_project_layout(tmp_path / "small")
    data = f"[{{path: {pairs_file}, range: [0, 5], name: mine}}, {second}, {folder}]"
    found, out = run(tiny_folder, data, *options)
    tables = [cells(text) for text in out.split("\n\n") if text.lstrip().startswith("| ")]
    assert [row[-1] for row in tables[0]] == ["prompt", "-" * 13, "query", "passage, none", ""]
    assert tables[1][-1][-1] == "query, passage"
    texts = [["the cat ", "the cat "], ["a dog ", ""], ["the cat ", "a dog "]]
    assert [result["prompts"] for result in found["results"]] == texts
    [model] = found["models"]
    assert model["prompts"] == {"query": "the cat ", "passage": "a dog "}
    assert "prompts query 'the cat ', passage 'a dog ', default_prompt_name query" in out
    assert not [note for note in found["notes"] if "no prompt" in note]


def test_a_note_where_a_model_declares_prompts_and_none_is_used(run, tiny_folder, sets, tmp_path):
    BiEncoder.from_pretrained(tiny_folder, prompts=PROMPTS).save_pretrained(tmp_path / "model")
    found, out = run(tmp_path / "model", sets[0])
    note = "mine, binary: no prompt is used, and the model declares query, passage; "
    assert [one for one in found["notes"] if one.startswith(note)]
    assert f"note: {note}" in out
    assert "prompts" not in found["results"][0]
    found, _ = run(tiny_folder, sets[0])
    assert not [one for one in found["notes"] if "prompt" in one]


@pytest.mark.parametrize(
    ("data", "argv", "message"),
    [
        ("{{path: {pairs}, range: [0, 5], prompts: qury}}", [], "no prompt 'qury'; known: none"),
        (
            "{{path: {pairs}, range: [0, 5], prompts: [a, b, c]}}",
            [],
            "prompts is ['a', 'b', 'c']; give one name for all 2 text columns, or a list",
        ),
        ("{{path: {pairs}, range: [0, 5]}}", ["--default_prompt_name", "no"], "no prompt 'no'"),
        (
            "{{path: {pairs}, range: [0, 5], prompts: long}}",
            ["--prompts.long", "the cat " * 40],
            "leave no room for a text",
        ),
    ],
)
def test_prompts_that_are_refused(
    evaluate_command, capsys, tmp_path, tiny_folder, pairs_file, data, argv, message
):
    config = tmp_path / "e.yaml"
    config.write_text(f"model: {tiny_folder}\ndata: [{data.format(pairs=pairs_file)}]\n")
    assert message in fails(evaluate_command, capsys, "--config", config, *argv)


def test_options_of_a_bi_encoder_are_refused_for_a_cross_encoder(
    evaluate_command, capsys, tmp_path, pairs_file
):
    model = write_classifier(tmp_path / "cross")
    data = f"{{path: {pairs_file}, range: [0, 5]}}"
    argv = ["--model", model, "--data", data, "--prompts.query", "q: ", "--truncate_dim", 8]
    line = fails(evaluate_command, capsys, *argv)
    assert f"prompts, truncate_dim: only for a bi-encoder; {model} is a cross-encoder" in line
