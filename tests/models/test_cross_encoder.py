"""The cross-encoder against transformers, a pair at a time."""

import io
import pickle
import warnings
from copy import deepcopy
from itertools import permutations

import numpy as np
import pytest
import torch
from cross_encoder_checks import (
    one_by_one,
    said_by,
    sigmoid,
    softmax,
    write_roberta,
)
from tiny_models import WORDS

from sbert import CrossEncoder, InputError
from sbert.models.batches import token_batches
from sbert.models.cross_encoder import ACTIVATIONS
from sbert.models.tokens import tokenize_columns


def spy_on(model: CrossEncoder, monkeypatch) -> list[torch.Tensor]:
    """The ids of every call of the transformer, from now on."""
    seen, forward = [], model.transformer.forward
    monkeypatch.setattr(
        model.transformer,
        "forward",
        lambda **given: seen.append(given["input_ids"]) or forward(**given),
    )
    return seen


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def torch_saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


# predict


@pytest.mark.parametrize("again", [pickled, torch_saved, deepcopy])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_copy_of_the_object_gives_the_same(folders, pairs, again, activation):
    model = CrossEncoder.from_pretrained(folders[1 if activation != "softmax" else 3])
    model.activation = activation
    found, expected = (m.predict(pairs, precision="fp32") for m in (again(model), model))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batch_tokens", [1, 200, 4096])
@pytest.mark.parametrize(("labels", "activate"), [(1, lambda x: sigmoid(x)[:, 0]), (3, softmax)])
def test_predict_is_a_loop_over_pairs(folders, pairs, labels, activate, batch_tokens):
    model = CrossEncoder.from_pretrained(folders[labels])
    scores = model.predict(pairs, precision="fp32", batch_tokens=batch_tokens)
    expected = activate(one_by_one(folders[labels], pairs))
    assert (scores.dtype, scores.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    # pairs that score alike would prove nothing
    assert np.ptp(expected, axis=0).min() > 0.1


@pytest.mark.parametrize("labels", [1, 3])
def test_logits_are_those_of_transformers(folders, pairs, labels):
    logits = CrossEncoder.from_pretrained(folders[labels]).predict(
        pairs, logits=True, precision="fp32"
    )
    expected = one_by_one(folders[labels], pairs)
    np.testing.assert_allclose(logits, expected[:, 0] if labels == 1 else expected, atol=1e-5)


def test_identity_gives_logits_as_scores(folders, pairs):
    model = CrossEncoder.from_pretrained(folders[1])
    model.activation = "identity"
    np.testing.assert_array_equal(
        model.predict(pairs, precision="fp32"), model.predict(pairs, precision="fp32", logits=True)
    )


@pytest.mark.parametrize("labels", [1, 3])
def test_a_roberta_with_its_own_positions_and_head(tmp_path, pairs, labels):
    folder = write_roberta(tmp_path, labels)
    model = CrossEncoder.from_pretrained(folder)
    assert (model.max_length, model.dim) == (32, labels)
    with pytest.warns(UserWarning, match="distinct pairs are cut at max_length 32"):
        logits = model.predict(pairs, logits=True, precision="fp32")
    np.testing.assert_allclose(logits.reshape(-1, labels), one_by_one(folder, pairs, 32), atol=1e-5)


def test_pairs_are_read_in_their_order(scorer, pairs):
    forward, backward = (
        scorer.predict(some, precision="fp32") for some in (pairs, [(b, a) for a, b in pairs])
    )
    assert np.abs(forward - backward).max() > 0.1


@pytest.mark.parametrize("labels", [1, 3])
def test_symmetric_is_the_mean_of_the_logits_of_both_orders(folders, pairs, labels):
    model = CrossEncoder.from_pretrained(folders[labels])
    swapped = [(b, a) for a, b in pairs]
    mean = (one_by_one(folders[labels], pairs) + one_by_one(folders[labels], swapped)) / 2
    scores = softmax(mean) if labels == 3 else sigmoid(mean)[:, 0]
    options = {"symmetric": True, "precision": "fp32"}
    logits = model.predict(pairs, logits=True, **options)
    np.testing.assert_allclose(logits.reshape(mean.shape), mean, atol=1e-5)
    np.testing.assert_allclose(model.predict(pairs, **options), scores, atol=1e-5)
    np.testing.assert_allclose(model.predict(swapped, **options), scores, atol=1e-5)
    # both orders in one call are one computation: logits equal to the last bit (the last bit of a
    # sigmoid depends on whether vector instructions compute an element)
    together = model.predict([*pairs, *swapped], logits=True, **options)
    np.testing.assert_array_equal(together[: len(pairs)], together[len(pairs) :])


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_distinct_pair_is_computed_once(scorer, monkeypatch, symmetric):
    tables, table = [], scorer.text_tokenizer.tokenize
    monkeypatch.setattr(
        scorer.text_tokenizer,
        "tokenize",
        lambda texts, *rest: tables.append(list(texts)) or table(texts, *rest),
    )
    seen = spy_on(scorer, monkeypatch)
    some = [("a cat", "red"), ("red", "a cat"), ("a cat", "red"), ("red", "red"), ("red", "red")]
    scores = scorer.predict(some, symmetric=symmetric, precision="fp32")
    assert tables == [["a cat", "red"]]
    assert sum(len(ids) for ids in seen) == 3
    np.testing.assert_array_equal(scores[[2, 4]], scores[[0, 3]])
    assert (scores[0] == scores[1]) == symmetric
    assert scores[0] != scores[3]


def test_predict_stays_within_the_token_budget_longest_first(scorer, pairs, monkeypatch):
    seen = spy_on(scorer, monkeypatch)
    scorer.predict(pairs, precision="fp32", batch_tokens=100)
    shapes = [tuple(ids.shape) for ids in seen]
    assert len(shapes) > 5
    assert all(rows * length <= 100 for rows, length in shapes)
    assert [length for _, length in shapes] == sorted(
        (length for _, length in shapes), reverse=True
    )


@pytest.mark.parametrize(("labels", "shape"), [(1, (0,)), (3, (0, 3))])
@pytest.mark.parametrize("options", [{}, {"logits": True}, {"symmetric": True}])
def test_predict_of_nothing(folders, labels, shape, options):
    scores = CrossEncoder.from_pretrained(folders[labels]).predict([], **options)
    assert (scores.shape, scores.dtype) == (shape, np.float32)


@pytest.mark.parametrize("kind", [tuple, np.array, lambda pairs: [list(pair) for pair in pairs]])
def test_predict_of_other_sequences(scorer, kind):
    some = [("a cat", "red"), ("the dog", "a man")]
    np.testing.assert_array_equal(scorer.predict(kind(some)), scorer.predict(some))


@pytest.mark.parametrize("progress", [False, None, True])
def test_progress_shows_only_when_asked(scorer, capsys, progress):
    scorer.predict([("a cat", "red")], progress=progress)
    scorer.rank("a cat", ["red"], progress=progress)
    # None: on a terminal alone, and under pytest stderr is none
    assert capsys.readouterr().err.count("predict: 100%") == (2 if progress else 0)


def test_forward_equals_predict(folders, pairs):
    for labels in (1, 3):
        model = CrossEncoder.from_pretrained(folders[labels])
        inputs = model.inputs(
            *tokenize_columns(model.text_tokenizer, [[a for a, _ in pairs], [b for _, b in pairs]])
        )
        assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
        with torch.no_grad():
            logits = model(**inputs)
        assert (logits.shape, logits.dtype) == ((len(pairs), labels), torch.float32)
        expected = model.predict(pairs, logits=True, precision="fp32").reshape(-1, labels)
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


def test_rows_of_several_texts_by_hand(scorer):
    table = scorer.text_tokenizer.tokenize(["a cat", "red", "the dog sits on"])
    rows = np.array([[0, 1, 2], [1, -1, 0], [2, 1, -1], [1, -1, -1], [0, 2, 1]])
    # [CLS] first [SEP] second [SEP]
    assert scorer.lengths(table, rows).tolist() == [2 + 4 + 3, 1 + 2 + 3, 4 + 1 + 3, 0, 2 + 4 + 3]
    in_order = [
        ("a cat", "red"),
        ("a cat", "the dog sits on"),
        ("red", "a cat"),
        ("the dog sits on", "red"),
    ]
    in_order += [("a cat", "the dog sits on"), ("a cat", "red")]
    expected = scorer.tokenizer([a for a, _ in in_order], [b for _, b in in_order], padding=True)
    assert {name: array.tolist() for name, array in scorer.inputs(table, rows).items()} == dict(
        expected
    )


# precision


def test_bf16_is_close_and_leaves_the_weights(scorer, pairs):
    before = {name: tensor.clone() for name, tensor in scorer.state_dict().items()}
    exact, rounded = (scorer.predict(pairs, precision=precision) for precision in ("fp32", "bf16"))
    assert rounded.dtype == np.float32
    assert 1e-5 < np.abs(exact - rounded).max() < 0.03
    assert scorer.state_dict().keys() == before.keys()
    for name, tensor in scorer.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


# training mode


@pytest.mark.parametrize("training", [True, False])
def test_predict_is_without_dropout_and_restores_the_mode(scorer, pairs, training):
    expected = scorer.predict(pairs, precision="fp32")
    scorer.train(training)
    np.testing.assert_array_equal(scorer.predict(pairs, precision="fp32"), expected)
    assert all(module.training == training for module in scorer.modules())


def test_from_pretrained_is_ready_to_predict(scorer):
    assert not any(module.training for module in scorer.modules())
    assert all(
        parameter.requires_grad and parameter.dtype == torch.float32
        for parameter in scorer.parameters()
    )


# what is cut


@pytest.mark.parametrize("symmetric", [False, True])
def test_predict_warns_of_what_is_cut(folders, symmetric):
    model = CrossEncoder.from_pretrained(folders[1], max_length=9)
    some = [("a " * 4, "the " * 3), ("a", "the"), ("a " * 4, "the " * 3), ("a " * 3, "the " * 3)]
    with pytest.warns(UserWarning, match="distinct pairs are cut") as caught:
        scores = model.predict(some, symmetric=symmetric, precision="fp32")
    # a pair given twice is one, and both its orders are two
    said = "2 of 6 distinct pairs" if symmetric else "1 of 3 distinct pairs"
    assert [str(w.message) for w in caught] == [f"{said} are cut at max_length 9"]
    assert caught[0].filename == __file__, "the warning points elsewhere than at the caller"
    if not symmetric:
        # the longer text loses its fourth token
        assert scores[0] == pytest.approx(scores[3], abs=1e-6)


def test_rank_warns_of_what_is_cut(folders):
    model = CrossEncoder.from_pretrained(folders[1], max_length=9)
    with pytest.warns(UserWarning, match="distinct pairs are cut") as caught:
        model.rank("a cat", ["the", "the " * 5, "red " * 6])
    assert [str(w.message) for w in caught] == ["2 of 3 distinct pairs are cut at max_length 9"]
    assert caught[0].filename == __file__


def test_nothing_is_said_where_nothing_is_cut(folders):
    model = CrossEncoder.from_pretrained(folders[1], max_length=9)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict([("a " * 3, "the " * 3)])
        model.rank("a " * 5, ["the"])
    assert [str(w.message) for w in caught] == []


def test_cut_pairs_are_those_of_transformers(folders, pairs):
    model = CrossEncoder.from_pretrained(folders[1], max_length=10)
    with pytest.warns(UserWarning, match="distinct pairs are cut at max_length 10"):
        logits = model.predict(pairs, logits=True, precision="fp32")
    np.testing.assert_allclose(logits, one_by_one(folders[1], pairs, 10)[:, 0], atol=1e-5)


@pytest.mark.parametrize(("given", "used"), [(None, 64), (64, 64), (10, 10), (5, 5)])
def test_max_length_is_at_most_what_the_model_has_positions_for(folders, given, used):
    assert CrossEncoder.from_pretrained(folders[1], max_length=given).max_length == used


def test_max_length_above_the_positions(folders):
    said = said_by(CrossEncoder.from_pretrained, folders[1], max_length=65)
    assert said.endswith("max_length 65: the model has positions for 64 tokens")


def test_max_length_without_room(folders):
    said = said_by(CrossEncoder.from_pretrained, folders[1], max_length=4)
    assert said == "max_length 4 leaves no room for a pair; use at least 5"


# rank


def test_rank_is_the_order_of_predict(scorer, sentences):
    documents = list(dict.fromkeys(sentences))
    ranked = scorer.rank("the cat sits", documents, precision="fp32")
    given = [("the cat sits", document) for document in documents]
    logits, scores = (
        scorer.predict(given, logits=logits, precision="fp32") for logits in (True, False)
    )
    assert [i for i, _ in ranked] == sorted(range(len(documents)), key=lambda i: -logits[i])
    assert [score for _, score in ranked] == scores[[i for i, _ in ranked]].tolist()
    assert {(type(i), type(score)) for i, score in ranked} == {(int, float)}


def test_rank_goes_by_logits_where_sigmoids_tie(scorer, sentences):
    with torch.no_grad():
        scorer.transformer.classifier.bias += 60
    documents = list(dict.fromkeys(sentences))
    ranked = scorer.rank("the cat sits", documents, precision="fp32")
    assert {score for _, score in ranked} == {1.0}
    logits = scorer.predict([("the cat sits", d) for d in documents], logits=True, precision="fp32")
    assert (
        [i for i, _ in ranked]
        == np.argsort(-logits, kind="stable").tolist()
        != list(range(len(documents)))
    )


def test_ties_keep_the_order_of_the_documents(scorer):
    # 400 documents, more than an unstable sort leaves in place by chance
    documents = ["a cat", "the dog", "a cat", "red"] * 100
    ranked = scorer.rank("a man", documents, precision="fp32")
    order = [i for i, _ in ranked]
    by_text = {
        text: [i for i in order if documents[i] == text] for text in ("a cat", "the dog", "red")
    }
    assert by_text["a cat"] == list(range(0, 400, 2))
    assert by_text["the dog"] == list(range(1, 400, 4))
    assert by_text["red"] == list(range(3, 400, 4))
    # each text stands together, with one score of its own
    assert order in [[*by_text[a], *by_text[b], *by_text[c]] for a, b, c in permutations(by_text)]
    assert len({score for _, score in ranked}) == 3
    assert len({(documents[i], score) for i, score in ranked}) == 3


def test_all_documents_tie(scorer):
    with torch.no_grad():
        scorer.transformer.classifier.weight.zero_()
    assert [i for i, _ in scorer.rank("red", [f"a {word}" for word in WORDS])] == list(
        range(len(WORDS))
    )


@pytest.mark.parametrize(("top_k", "count"), [(None, 5), (1, 1), (2, 2), (5, 5), (6, 5), (99, 5)])
def test_top_k(scorer, top_k, count):
    documents = ["a cat", "the dog", "red", "a man sits", "is not"]
    ranked = scorer.rank("the house", documents, top_k, precision="fp32")
    assert ranked == scorer.rank("the house", documents, precision="fp32")[:count]
    assert len(ranked) == count


@pytest.mark.parametrize("kind", [tuple, np.array])
def test_rank_of_other_sequences(scorer, kind):
    documents = ["a cat", "the dog", "red"]
    assert scorer.rank("a man", kind(documents)) == scorer.rank("a man", documents)


def test_a_thousand_documents_take_one_tokenisation_and_few_batches(scorer, monkeypatch):
    rng = np.random.default_rng(0)
    documents = [
        " ".join(WORDS[p] for p in rng.integers(len(WORDS), size=rng.integers(4, 14)))
        for _ in range(1000)
    ]
    assert len(set(documents)) == 1000
    tables, table = [], scorer.text_tokenizer.tokenize
    monkeypatch.setattr(
        scorer.text_tokenizer,
        "tokenize",
        lambda texts, *rest: tables.append(list(texts)) or table(texts, *rest),
    )
    seen = spy_on(scorer, monkeypatch)
    ranked = scorer.rank("the cat sits", documents)
    assert sorted(i for i, _ in ranked) == list(range(1000))
    assert tables == [["the cat sits", *documents]]
    lengths = np.array([3 + 3 + len(document.split()) for document in documents])
    assert [ids.shape for ids in seen] == [
        (len(b), lengths[b].max()) for b in token_batches(lengths, 2048)
    ]
    assert len(seen) == 8


@pytest.mark.parametrize("top_k", [0, -1])
def test_rank_refuses_top_k_below_1(scorer, top_k):
    assert (
        said_by(scorer.rank, "a", ["b"], top_k) == f"rank: top_k is {top_k}; it must be 1 or more"
    )


@pytest.mark.parametrize("documents", [[], (), np.array([], str), iter([])])
def test_rank_refuses_what_is_no_list_of_documents(scorer, documents):
    assert (
        said_by(scorer.rank, "a", documents) == "rank: there are no documents; give a list of texts"
    )


def test_rank_refuses_one_text_as_documents(scorer):
    assert (
        said_by(scorer.rank, "a", "a cat")
        == "rank: takes a list of documents, not one document; write [document]"
    )


def test_rank_refuses_a_model_of_classes(folders):
    model = CrossEncoder.from_pretrained(folders[3])
    assert (
        said_by(model.rank, "a", ["b"])
        == "rank: needs a model of one score; this one has 3 classes"
    )


# what texts may come as


ITERABLES = [iter, tuple, np.array, dict.fromkeys, lambda items: (item for item in items)]


@pytest.mark.parametrize("kind", ITERABLES)
def test_predict_and_rank_take_any_iterable(scorer, kind):
    pairs = [("a cat", "the dog"), ("red", "a man sits"), ("a", "small house")]
    expected = scorer.predict(pairs, precision="fp32")
    np.testing.assert_array_equal(scorer.predict(kind(pairs), precision="fp32"), expected)
    documents = [second for _, second in pairs]
    expected = scorer.rank("a cat", documents, precision="fp32")
    assert scorer.rank("a cat", kind(documents), precision="fp32") == expected


# bad texts

BAD = [
    ("", "is empty"),
    (" \n\t", "is empty"),
    (None, "is None, not a str"),
    (7, "is 7, not a str"),
    (["a"], "is ['a'], not a str"),
    ("a \ud83d cat", "contains a lone surrogate, '\\ud83d': not valid text"),
]


@pytest.mark.parametrize(("bad", "said"), BAD)
def test_predict_names_the_pair_and_the_side(scorer, bad, said):
    good = ("a cat", "red")
    assert (
        said_by(scorer.predict, [good, (bad, "red"), good])
        == f"predict: the first text of pair 1 {said}"
    )
    assert (
        said_by(scorer.predict, [good, good, ("a cat", bad)])
        == f"predict: the second text of pair 2 {said}"
    )


@pytest.mark.parametrize(("bad", "said"), BAD)
def test_rank_names_the_document(scorer, bad, said):
    assert said_by(scorer.rank, bad, ["a cat"]) == f"rank: the query {said}"
    assert said_by(scorer.rank, "a", [bad, "a cat"]) == f"rank: document 0 {said}"
    assert said_by(scorer.rank, "a", ["a cat", "red", bad]) == f"rank: document 2 {said}"


@pytest.mark.parametrize("bad", ["ab", "a cat", ("a cat",), ("a", "b", "c"), []])
def test_predict_names_what_is_no_pair(scorer, bad):
    said = f"predict: pair 1 is {bad!r}, not two texts; write predict([(text, text), ...])"
    assert said_by(scorer.predict, [("a cat", "red"), bad]) == said


def test_predict_of_no_pairs_at_all(scorer):
    assert said_by(scorer.predict, None) == "predict: takes a list of pairs, not None"


def test_predict_of_one_pair_without_its_list(scorer):
    said = "predict: pair 0 is 'a cat', not two texts; write predict([(text, text), ...])"
    assert said_by(scorer.predict, ("a cat", "red")) == said


@pytest.mark.parametrize("bad", [None, 7])
def test_predict_names_a_pair_that_has_no_length(scorer, bad):
    said = f"predict: pair 1 is {bad!r}, not two texts; write predict([(text, text), ...])"
    assert said_by(scorer.predict, [("a cat", "red"), bad]) == said


def test_unknown_precision(scorer):
    said = "precision: unknown value 'half'; known: auto, fp32, bf16, fp16"
    assert said_by(scorer.predict, [("a", "b")], precision="half") == said


# class names and lengths


def test_names_of_classes_are_as_many_as_the_classes(tiny_folder):
    model = CrossEncoder.from_pretrained(tiny_folder, num_labels=3)
    with pytest.raises(InputError, match="classes: 2 names for the 3 classes of the model"):
        model.classes = ["a", "b"]
    assert model.dim == 3


def test_a_length_of_zero_is_not_taken_for_none(tiny_folder):
    with pytest.raises(InputError, match="max_length 0 leaves no room"):
        CrossEncoder.from_pretrained(tiny_folder, max_length=0)
