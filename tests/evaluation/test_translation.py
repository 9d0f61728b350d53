"""Translation accuracy and the error to a teacher: by hand, by a loop, as sentence-transformers."""

import json

import numpy as np
import pytest
from evaluation_inputs import Lookup, Predict
from support import fails
from tiny_models import write_classifier, write_tiny

from sbert import BiEncoder
from sbert.data.rows import Rows
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer


def pairs(source, target, labels=None) -> Rows:
    return Rows("pairs", "pair", [source, target], labels)


def evaluate(rows: Rows, **options) -> dict[str, float]:
    return evaluate_rows(rows, bi_encoder_scorer(Lookup(), **options)).metrics


def test_accuracy_by_hand():
    # from source: 1 0 finds 2 1 (wrong), the others their own
    # from target: all find their own; 2 1 has the cosines 0.89, 0.45 and 0.96
    rows = pairs(["1 0", "0 1", "1 0.9"], ["1 -1", "0 5", "2 1"])
    found = evaluate(rows)
    assert found == {
        "src2trg_accuracy_cosine": pytest.approx(2 / 3),
        "trg2src_accuracy_cosine": 1.0,
        "mean_accuracy_cosine": pytest.approx(5 / 6),
    }


def test_the_similarity_is_the_models_own():
    rows = pairs(["1 0", "2 0"], ["9 1", "1 0"])
    assert evaluate(rows)["trg2src_accuracy_cosine"] == 0.5, "a tie goes to the first row"
    found = evaluate(rows, similarity="euclidean")
    assert set(found) == {f"{name}_accuracy_euclidean" for name in ("src2trg", "trg2src", "mean")}
    assert found["trg2src_accuracy_euclidean"] == 0


def test_a_text_equal_to_the_own_one_is_right():
    """Rows 0 and 2 have one translation, rows 1 and 3 one source of two translations."""
    rows = pairs(["1 0", "0 1", "1 0.1", "0 1"], ["1 0", "0 1", "1 0", "0.1 1"])
    found = evaluate(rows)
    assert found["src2trg_accuracy_cosine"] == 3 / 4, "row 3 finds the translation of row 1"
    assert found["trg2src_accuracy_cosine"] == 3 / 4, "row 2 finds the source of row 0"


def test_the_plain_loop():
    generator = np.random.default_rng(1)
    source = generator.normal(size=(60, 5)).round(1)
    target = (source + 0.5 * generator.normal(size=(60, 5))).round(1)
    target[5], source[7] = target[6], source[8]
    texts = [[" ".join(map(str, vector)) for vector in side] for side in (source, target)]
    found = evaluate(pairs(*texts))
    for name, (left, right), aims in (
        ("src2trg", (source, target), texts[1]),
        ("trg2src", (target, source), texts[0]),
    ):
        count = 0
        for i, query in enumerate(left):
            cosines = [query @ v / np.linalg.norm(query) / np.linalg.norm(v) for v in right]
            count += aims[int(np.argmax(cosines))] == aims[i]
        assert 20 < count < 60
        assert found[f"{name}_accuracy_cosine"] == pytest.approx(count / 60)
    names = ("src2trg_accuracy_cosine", "trg2src_accuracy_cosine")
    assert found["mean_accuracy_cosine"] == pytest.approx(np.mean([found[n] for n in names]))


def test_order_of_the_rows_does_not_matter():
    source, target = ["1 0", "0 1", "1 1", "-1 2"], ["1 1", "0 3", "1 0.5", "-1 1"]
    order = [2, 0, 3, 1]
    shuffled = pairs([source[i] for i in order], [target[i] for i in order])
    assert evaluate(pairs(source, target)) == evaluate(shuffled)


def test_error_to_a_teacher_by_hand():
    """Of the translations alone, as an average over rows and numbers."""
    teacher = np.array([[1, 0], [0, 3]], np.float32)
    found = evaluate(pairs(["5 5", "6 6"], ["1 2", "0 1"], teacher))
    assert found["negative_mse"] == -(4 + 4) / 4


def test_as_sentence_transformers(tiny, tiny_folder, sentences, tmp_path):
    st = pytest.importorskip("sentence_transformers")
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    source = sentences[:30] + sentences[:3]  # some twice
    target = [" ".join(text.split()[1:] + ["and"]) for text in source]
    teacher = BiEncoder.from_pretrained(write_tiny(tmp_path / "teacher", seed=4))
    labels = teacher.encode(source, "fp32")
    scorer = bi_encoder_scorer(lambda texts, prompt: tiny.encode(texts, "fp32"))
    found = evaluate_rows(pairs(source, target, labels), scorer).metrics

    student = st.SentenceTransformer(str(tiny_folder), device="cpu")
    evaluator = theirs.TranslationEvaluator(source, target, write_csv=False)
    expected = evaluator(student)
    assert 0 < expected["mean_accuracy"] < 1
    for name in ("src2trg", "trg2src", "mean"):
        assert found[f"{name}_accuracy_cosine"] == pytest.approx(expected[f"{name}_accuracy"])
    own_teacher = st.SentenceTransformer(str(tmp_path / "teacher"), device="cpu")
    error = theirs.MSEEvaluator(source, target, own_teacher, write_csv=False)
    expected = error(student)["negative_mse"]
    assert 100 * found["negative_mse"] == pytest.approx(expected, rel=1e-4)


def test_evaluate_prints_both_ways_with_an_interval(
    tmp_path, tiny_folder, sentences, evaluate_command, capsys
):
    file = tmp_path / "parallel.tsv"
    lines = [f"{text}\t{text} and" for text in dict.fromkeys(sentences)]
    file.write_text("\n".join(["source_sentence\ttarget_sentence", *lines]) + "\n", "utf-8")
    output = tmp_path / "table.json"
    options = ["--model", tiny_folder, "--data", file, "--resamples", "100", "--output", output]
    evaluate_command(*options)
    printed = capsys.readouterr().out
    header = next(line for line in printed.splitlines() if line.startswith("| pair"))
    names = [name.strip() for name in header.strip("|").split("|")]
    expected = ["pair", "rows", "accuracy", "95 % interval", "source to target", "target to source"]
    assert names == expected
    (dataset,) = json.loads(output.read_text())["results"]
    assert dataset["metrics"]["src2trg_accuracy_cosine"] >= 0.5


def test_a_cross_encoder_is_refused(tmp_path, evaluate_command, capsys):
    file = tmp_path / "parallel.tsv"
    file.write_text("source_sentence\ttarget_sentence\na cat\tthe cat\n", "utf-8")
    cross = write_classifier(tmp_path / "cross")
    line = fails(evaluate_command, capsys, "--model", cross, "--data", file)
    expected = (
        "parallel: task pair searches all second texts for that of each first text, which a "
        "cross-encoder cannot; evaluate a bi-encoder"
    )
    assert line.endswith(expected)
    for dim in (1, 3):
        with pytest.raises(ValueError, match="evaluate a bi-encoder"):
            evaluate_rows(pairs(["a"], ["b"]), Predict(dim).scorer())
