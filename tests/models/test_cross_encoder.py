"""The cross-encoder against transformers, a pair at a time, and its folders against sentence-transformers."""

import json
import shutil
import warnings
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import WEIGHTS, needs_weights
from tiny_models import SIZE, WORDS, bert_tokenizer, roberta_tokenizer, write_classifier, write_tiny
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaModel,
)

from sbert import CrossEncoder, InputError
from sbert.models.tokens import token_batches, tokenize_columns

SIGMOID = "torch.nn.modules.activation.Sigmoid"
IDENTITY = "torch.nn.modules.linear.Identity"
NLI = ["contradiction", "entailment", "neutral"]

Pairs = list[tuple[str, str]]


def load(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def change(path: Path, **keys) -> None:
    path.write_text(json.dumps((load(path) if path.exists() else {}) | keys), "utf-8")


def write_roberta(folder: Path, labels: int = 1) -> Path:
    """A RoBERTa classifier: a head of two layers, no second token type, positions that start after the padding's."""
    torch.manual_seed(0)
    tokenizer = roberta_tokenizer()
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=34,
        type_vocab_size=1,
        initializer_range=0.3,
        num_labels=labels,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **SIZE,
    )
    model = RobertaForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.out_proj.bias)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[int, Path]:
    """Classifiers of 1 and of 3 labels as transformers saves them. Not to be changed: `copied` may be."""
    root = tmp_path_factory.mktemp("classifiers")
    return {labels: write_classifier(root / str(labels), labels) for labels in (1, 3)}


@pytest.fixture
def scorer(folders) -> CrossEncoder:
    return CrossEncoder.from_pretrained(folders[1])


@pytest.fixture
def pairs(sentences) -> Pairs:
    """Forty pairs of 5 to 27 tokens, one of one text twice, and one of 60, beyond what plain attention is used for."""
    others = [*sentences[7:], *sentences[:7]]
    return [
        *zip(sentences, others, strict=True),
        ("a cat", "a cat"),
        (" ".join(WORDS), " ".join([*WORDS[::-1], *WORDS[:9]])),
    ]


@torch.no_grad()
def one_by_one(folder: Path, pairs: Pairs, max_length: int = 64) -> np.ndarray:
    """Logits (N, K) by transformers alone, a pair at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    cut = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    return torch.cat([model(**tokenizer(a, b, **cut)).logits for a, b in pairs]).numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def spy_on(model: CrossEncoder, monkeypatch) -> list[torch.Tensor]:
    """The ids of every call of the transformer, from now on."""
    seen, forward = [], model.transformer.forward
    monkeypatch.setattr(
        model.transformer,
        "forward",
        lambda **given: seen.append(given["input_ids"]) or forward(**given),
    )
    return seen


def said_by(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# predict


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
    # both orders in one call are one computation: logits equal to the last bit (a sigmoid's last bit depends on whether an
    # element falls to the vector instructions or to the rest of the array)
    together = model.predict([*pairs, *swapped], logits=True, **options)
    np.testing.assert_array_equal(together[: len(pairs)], together[len(pairs) :])


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_distinct_pair_is_computed_once(scorer, monkeypatch, symmetric):
    tables, table = [], scorer.texts.table
    monkeypatch.setattr(
        scorer.texts, "table", lambda texts: tables.append(list(texts)) or table(texts)
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
            *tokenize_columns(model.texts, [[a for a, _ in pairs], [b for _, b in pairs]])
        )
        assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
        with torch.no_grad():
            logits = model(**inputs)
        assert (logits.shape, logits.dtype) == ((len(pairs), labels), torch.float32)
        expected = model.predict(pairs, logits=True, precision="fp32").reshape(-1, labels)
        np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


def test_rows_of_several_texts_by_hand(scorer):
    table = scorer.texts.table(["a cat", "red", "the dog sits on"])
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


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["BERT", "RoBERTa"])
def test_only_the_last_layer_stays_fp32(folders, tmp_path, monkeypatch, kind, precision):
    model = CrossEncoder.from_pretrained(folders[1] if kind == "BERT" else write_roberta(tmp_path))
    seen = {}

    def forward(**inputs):
        seen.update({name: p.dtype for name, p in model.transformer.named_parameters()})
        raise StopIteration

    monkeypatch.setattr(model.transformer, "forward", forward)
    with pytest.raises(StopIteration):
        model.predict([("a", "cat")], precision=precision)
    last = "classifier" if kind == "BERT" else "classifier.out_proj"
    exact = {name for name, dtype in seen.items() if dtype == torch.float32}
    assert exact == {f"{last}.weight", f"{last}.bias"}
    assert {dtype for name, dtype in seen.items() if name not in exact} == {
        torch.bfloat16 if precision == "bf16" else torch.float16
    }


def test_logits_are_not_rounded_to_bf16(scorer, pairs):
    logits = torch.from_numpy(scorer.predict(pairs, logits=True, precision="bf16"))
    rounded = (logits.bfloat16().float() == logits).float().mean()
    assert rounded < 0.1


def test_the_last_layer_is_fp32_in_training_too(scorer):
    inputs = scorer.inputs(
        *tokenize_columns(scorer.texts, [["a cat", "the dog"], ["red", "a man sits"]])
    )
    with torch.autocast("cpu", torch.bfloat16):
        logits = scorer(**inputs)
        pooled = scorer.transformer.bert(**inputs).pooler_output
    assert (logits.dtype, pooled.dtype) == (torch.float32, torch.bfloat16)
    head = scorer.transformer.classifier
    torch.testing.assert_close(logits, pooled.float() @ head.weight.T + head.bias)
    logits.sum().backward()
    torch.testing.assert_close(head.weight.grad, pooled.float().sum(dim=0, keepdim=True))


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


@pytest.mark.parametrize(("given", "used"), [(None, 64), (10_000, 64), (10, 10), (5, 5)])
def test_max_length_is_at_most_what_the_model_has_positions_for(folders, given, used):
    assert CrossEncoder.from_pretrained(folders[1], max_length=given).max_length == used


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
    tables, table = [], scorer.texts.table
    monkeypatch.setattr(
        scorer.texts, "table", lambda texts: tables.append(list(texts)) or table(texts)
    )
    seen = spy_on(scorer, monkeypatch)
    ranked = scorer.rank("the cat sits", documents)
    assert sorted(i for i, _ in ranked) == list(range(1000))
    assert tables == [["the cat sits", *documents]]
    lengths = np.array([3 + 3 + len(document.split()) for document in documents])
    assert [ids.shape for ids in seen] == [
        (len(b), lengths[b].max()) for b in token_batches(lengths, 4096)
    ]
    assert len(seen) == 4


@pytest.mark.parametrize("top_k", [0, -1])
def test_rank_refuses_top_k_below_1(scorer, top_k):
    assert (
        said_by(scorer.rank, "a", ["b"], top_k) == f"rank: top_k is {top_k}; it must be 1 or more"
    )


@pytest.mark.parametrize("documents", [[], (), np.array([], str), "a cat"])
def test_rank_refuses_what_is_no_list_of_documents(scorer, documents):
    assert (
        said_by(scorer.rank, "a", documents) == "rank: there are no documents; give a list of texts"
    )


def test_rank_refuses_a_model_of_classes(folders):
    model = CrossEncoder.from_pretrained(folders[3])
    assert (
        said_by(model.rank, "a", ["b"])
        == "rank: needs a model of one score, and this one has 3 classes"
    )


# bad texts

BAD = [
    ("", "is empty"),
    (" \n\t", "is empty"),
    (None, "is None, not a str"),
    (7, "is 7, not a str"),
    (["a"], "is ['a'], not a str"),
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


# loading: heads


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("given", "labels"), [(None, 1), (1, 1), (3, 3)])
def test_a_plain_encoder_gets_a_head(tiny_folder, pairs, given, labels):
    model = CrossEncoder.from_pretrained(tiny_folder, given)
    assert (model.dim, model.activation, model.classes) == (
        labels,
        "sigmoid" if labels == 1 else "softmax",
        None,
    )
    head = model.transformer.classifier
    assert head.weight.shape == (labels, 32)
    assert 0.2 < head.weight.std() < 0.4, "not of the model's initializer_range, 0.3"
    assert head.bias.tolist() == [0] * labels
    kept = dict(model.transformer.bert.named_parameters())
    for name, tensor in weights_of(tiny_folder).items():
        assert torch.equal(kept.pop(name), tensor), name
    assert not kept
    assert model.predict(pairs).shape == ((len(pairs),) if labels == 1 else (len(pairs), labels))


@pytest.mark.parametrize("plain", [True, False], ids=["plain encoder", "new_head"])
def test_the_seed_makes_the_head(tiny_folder, folders, plain):
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        source = (
            {"name_or_path": tiny_folder}
            if plain
            else {"name_or_path": folders[3], "new_head": True}
        )
        heads.append(
            CrossEncoder.from_pretrained(**source, num_labels=2).transformer.classifier.weight
        )
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("num_labels", [None, 3])
def test_a_saved_head_is_kept(folders, num_labels):
    model = CrossEncoder.from_pretrained(folders[3], num_labels)
    assert (model.dim, model.activation) == (3, "softmax")
    saved, loaded = weights_of(folders[3]), model.transformer.state_dict()
    assert saved.keys() <= loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())


@pytest.mark.parametrize(("saved", "num_labels"), [(3, 1), (3, 2), (1, 3)])
def test_a_head_of_another_size_is_refused(folders, saved, num_labels):
    assert said_by(CrossEncoder.from_pretrained, folders[saved], num_labels) == (
        f"{folders[saved]}: its head gives {saved} labels, and num_labels is {num_labels}; "
        "leave num_labels out, or set new_head to start the last layer afresh"
    )


@pytest.mark.parametrize(("saved", "num_labels"), [(3, 1), (3, 2), (1, 3), (3, 3), (1, 1)])
def test_new_head_starts_the_last_layer_afresh(folders, tmp_path, saved, num_labels):
    model = CrossEncoder.from_pretrained(folders[saved], num_labels, new_head=True)
    assert (model.dim, model.transformer.num_labels) == (num_labels, num_labels)
    old, new = weights_of(folders[saved]), model.transformer.state_dict()
    assert old.keys() <= new.keys()
    fresh = {
        name
        for name in old
        if old[name].shape != new[name].shape or not torch.equal(old[name], new[name])
    }
    assert fresh == {"classifier.weight", "classifier.bias"}
    assert new["classifier.weight"].shape == (num_labels, 32)
    assert 0.2 < new["classifier.weight"].std() < 0.4, "not of the model's initializer_range, 0.3"
    assert new["classifier.bias"].tolist() == [0] * num_labels
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    some = [("a cat", "red"), ("the dog", "a man")]
    again = CrossEncoder.from_pretrained(tmp_path)
    assert all(
        torch.equal(weight, new[name]) for name, weight in again.transformer.state_dict().items()
    )
    # where weights lie in memory may change a product of few rows by the last bit
    np.testing.assert_allclose(
        again.predict(some, precision="fp32"), model.predict(some, precision="fp32"), rtol=1e-6
    )


def test_new_head_without_a_number_has_as_many_labels_as_saved(folders):
    assert CrossEncoder.from_pretrained(folders[3], new_head=True).dim == 3


def test_new_head_of_a_roberta_is_its_last_layer_alone(tmp_path):
    folder = write_roberta(tmp_path)
    model = CrossEncoder.from_pretrained(folder, 3, new_head=True)
    old, new = weights_of(folder), model.transformer.state_dict()
    fresh = {
        name
        for name in old
        if old[name].shape != new[name].shape or not torch.equal(old[name], new[name])
    }
    assert fresh == {"classifier.out_proj.weight", "classifier.out_proj.bias"}
    assert new["classifier.out_proj.bias"].tolist() == [0] * 3
    assert model.predict([("a", "cat")]).shape == (1, 3)


def test_new_head_forgets_the_activation(tmp_path):
    folder = write_classifier(tmp_path, sbert_ce_default_activation_function=IDENTITY)
    assert CrossEncoder.from_pretrained(folder).activation == "identity"
    assert CrossEncoder.from_pretrained(folder, new_head=True).activation == "sigmoid"


def test_a_model_whose_last_layer_gives_no_labels_is_refused(tiny_folder):
    transformer = BertModel.from_pretrained(tiny_folder)
    said = said_by(CrossEncoder, transformer, bert_tokenizer(), 64, "sigmoid")
    assert said == (
        "BertModel: its last layer pooler.dense gives 32 numbers, not its 2 labels; such a model is not supported here"
    )


# loading: broken folders


def drop(folder: Path, *names: str) -> None:
    kept = {name: tensor for name, tensor in weights_of(folder).items() if name not in names}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["classifier.weight"], "1 weights are missing, classifier.weight for one"),
        (
            ["classifier.weight", "classifier.bias"],
            "2 weights are missing, classifier.bias for one",
        ),
        (["bert.pooler.dense.bias"], "1 weights are missing, bert.pooler.dense.bias for one"),
        (
            ["bert.embeddings.LayerNorm.bias"],
            "1 weights are missing, bert.embeddings.LayerNorm.bias for one",
        ),
    ],
)
def test_an_incomplete_classifier_is_refused(tmp_path, names, said, new_head):
    folder = write_classifier(tmp_path)
    drop(folder, *names)
    found = said_by(CrossEncoder.from_pretrained, folder, new_head=new_head)
    assert found == f"{folder}: {said}: the folder is not complete"


def test_an_incomplete_encoder_is_refused(tmp_path):
    folder = write_tiny(tmp_path)
    drop(folder, "encoder.layer.1.output.dense.weight")
    # older versions of transformers name it as the folder does, newer ones as the whole model does
    assert said_by(CrossEncoder.from_pretrained, folder).replace(" bert.encoder", " encoder") == (
        f"{folder}: 1 weights are missing, encoder.layer.1.output.dense.weight for one: the folder is not complete"
    )


def test_an_encoder_may_lack_its_pooler(tmp_path):
    folder = write_tiny(tmp_path)
    drop(folder, "pooler.dense.weight", "pooler.dense.bias")
    assert CrossEncoder.from_pretrained(folder).predict([("a", "cat")]).shape == (1,)


def test_an_encoder_whose_head_is_deeper_than_one_layer(tmp_path):
    folder = write_roberta(tmp_path)
    config = AutoConfig.from_pretrained(folder)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    model = CrossEncoder.from_pretrained(folder, 2)
    assert model.predict([("a", "cat")]).shape == (1, 2)


def test_pickled_weights_alone_are_refused(tmp_path):
    folder = write_classifier(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: no weights: model.safetensors is missing (there is pytorch_model.bin: convert it to safetensors)"
    )


def test_a_config_that_does_not_fit_the_weights_is_refused(tmp_path):
    folder = write_classifier(tmp_path, 3)
    change(folder / "config.json", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    assert said_by(CrossEncoder.from_pretrained, folder).startswith(
        f"{folder}: cannot be read: RuntimeError"
    )


def test_a_missing_folder_is_refused(tmp_path):
    assert (
        said_by(CrossEncoder.from_pretrained, tmp_path / "none")
        == f"model {tmp_path}/none: no such folder"
    )


# loading: activations


def layout_6x(folder: Path, name: str) -> None:
    """As sentence-transformers 6 writes it; a test below holds this to the package."""
    change(folder / "config_sentence_transformers.json", activation_fn=name, model_type="CrossEncoder", prompts={},
           default_prompt_name=None)  # fmt: skip
    kind = "sentence_transformers.base.modules.transformer.Transformer"
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}])
    )
    change(folder / "sentence_bert_config.json", transformer_task="sequence-classification",
           modality_config={"text": {"method": "forward", "method_output_name": "logits"}},
           module_output_name="scores")  # fmt: skip


def layout_4x(folder: Path, name: str) -> None:
    change(
        folder / "config.json", sentence_transformers={"activation_fn": name, "version": "4.1.0"}
    )


def layout_2x(folder: Path, name: str) -> None:
    change(folder / "config.json", sbert_ce_default_activation_function=name)


LAYOUTS = {"6.x": layout_6x, "4.x": layout_4x, "2.x": layout_2x}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("labels", "name", "activation"),
    [
        (1, SIGMOID, "sigmoid"),
        (1, IDENTITY, "identity"),
        (3, SIGMOID, "sigmoid"),
        (3, IDENTITY, "softmax"),
    ],
)
def test_the_activation_of_every_layout(tmp_path, layout, labels, name, activation):
    folder = write_classifier(tmp_path, labels)
    layout(folder, name)
    model = CrossEncoder.from_pretrained(folder)
    assert (model.activation, model.dim, model.max_length) == (activation, labels, 64)
    some = [("a cat", "red"), ("the dog", "a man")]
    expected = {"sigmoid": sigmoid, "identity": lambda x: x, "softmax": softmax}[activation](
        one_by_one(folder, some)
    )
    np.testing.assert_allclose(
        model.predict(some, precision="fp32").reshape(-1, labels), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("newer", "older"),
    [("6.x", ["4.x", "2.x"]), ("6.x", ["2.x"]), ("4.x", ["2.x"]), ("6.x", ["4.x"])],
)
@pytest.mark.parametrize("swap", [False, True])
def test_the_newest_activation_counts(tmp_path, newer, older, swap):
    name, others = (IDENTITY, SIGMOID) if swap else (SIGMOID, IDENTITY)
    folder = write_classifier(tmp_path)
    LAYOUTS[newer](folder, name)
    for layout in older:
        LAYOUTS[layout](folder, others)
    assert CrossEncoder.from_pretrained(folder).activation == ("identity" if swap else "sigmoid")


@pytest.mark.parametrize(("labels", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_a_folder_that_names_no_activation(folders, labels, activation):
    assert CrossEncoder.from_pretrained(folders[labels]).activation == activation


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("labels", [1, 3])
def test_an_unknown_activation_is_refused(tmp_path, layout, labels):
    folder = write_classifier(tmp_path, labels)
    layout(folder, "torch.nn.modules.activation.Tanh")
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: activation torch.nn.modules.activation.Tanh is not known here; known: Sigmoid, Identity"
    )
    # a new head has an activation of its own
    assert CrossEncoder.from_pretrained(folder, 1, new_head=True).activation == "sigmoid"


# saving

VARIANTS = {
    "sigmoid": (1, "sigmoid"),
    "identity": (1, "identity"),
    "classes": (3, "softmax"),
    "labels": (3, "sigmoid"),
}


def build(
    folders: dict[int, Path], labels: int, activation: str, max_length: int = 20
) -> CrossEncoder:
    """A model whose last layer is not the folder's."""
    model = CrossEncoder.from_pretrained(folders[labels], max_length=max_length)
    model.activation = activation
    with torch.no_grad():
        model.transformer.classifier.weight *= -0.5
    return model


def assert_same(one: CrossEncoder, other: CrossEncoder) -> None:
    assert (other.max_length, other.dim, other.activation) == (
        one.max_length,
        one.dim,
        one.activation,
    )
    assert (other.classes, other.texts.lower_case) == (one.classes, one.texts.lower_case)
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    some = [("a cat", "red"), ("the dog " * 9, "A Man sits " * 9)]
    for model in (one, other):
        with pytest.warns(
            UserWarning, match=f"1 of 2 distinct pairs are cut at max_length {one.max_length}"
        ):
            model.last = model.predict(some, precision="fp32")
    np.testing.assert_array_equal(one.last, other.last)


@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_saved_and_loaded_is_the_same(folders, tmp_path, labels, activation):
    model = build(folders, labels, activation)
    model.save_pretrained(tmp_path / "new" / "folder")
    again = CrossEncoder.from_pretrained(tmp_path / "new" / "folder")
    assert_same(model, again)
    again.save_pretrained(tmp_path / "twice")
    assert_same(model, CrossEncoder.from_pretrained(tmp_path / "twice"))


@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_files_written(folders, tmp_path, labels, activation):
    build(folders, labels, activation).save_pretrained(tmp_path)
    # the fifth is written by older versions of transformers
    assert {path.name for path in tmp_path.iterdir()} - {"special_tokens_map.json"} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = load(tmp_path / "config.json")
    name = SIGMOID if activation == "sigmoid" else IDENTITY
    assert config["sentence_transformers"] == {"activation_fn": name}
    assert config["sbert_ce_default_activation_function"] == name
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert len(config["id2label"]) == labels
    assert load(tmp_path / "tokenizer_config.json")["model_max_length"] == 20
    assert weights_of(tmp_path).keys() == weights_of(folders[labels]).keys()


def test_transformers_loads_what_is_saved(folders, tmp_path, pairs):
    model = build(folders, 3, "softmax", 64)
    model.save_pretrained(tmp_path)
    ours = model.predict(pairs, logits=True, precision="fp32")
    np.testing.assert_allclose(one_by_one(tmp_path, pairs), ours, atol=1e-5)


def test_saving_leaves_the_model_as_it_is(folders, tmp_path, pairs):
    model = build(folders, 1, "identity", 64).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    scores = model.predict(pairs, precision="fp32")
    model.save_pretrained(tmp_path)
    assert (model.training, model.activation) == (True, "identity")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    np.testing.assert_array_equal(model.predict(pairs, precision="fp32"), scores)


def test_a_longer_length_may_be_asked_for_later(folders, tmp_path):
    build(folders, 1, "sigmoid", 20).save_pretrained(tmp_path)
    assert CrossEncoder.from_pretrained(tmp_path, max_length=30).max_length == 30


@pytest.mark.parametrize("lower_case", [False, True])
def test_lower_case_is_kept(folders, tmp_path, lower_case):
    loaded = CrossEncoder.from_pretrained(folders[1])
    loaded.tokenizer.backend_tokenizer.normalizer.lowercase = False
    model = CrossEncoder(loaded.transformer, loaded.tokenizer, 20, "sigmoid", lower_case).eval()
    model.save_pretrained(tmp_path)
    again = CrossEncoder.from_pretrained(tmp_path)
    assert_same(model, again)
    upper, lower = again.predict([("The CAT", "A Dog"), ("the cat", "a dog")], precision="fp32")
    assert (abs(upper - lower) < 1e-6) == lower_case


def test_classes_are_kept(folders, tmp_path):
    model = build(folders, 3, "softmax")
    assert model.classes is None
    model.classes = NLI
    assert model.classes == NLI
    model.save_pretrained(tmp_path)
    again = CrossEncoder.from_pretrained(tmp_path)
    assert again.classes == NLI
    assert (
        load(tmp_path / "config.json")["id2label"],
        load(tmp_path / "config.json")["label2id"],
    ) == (
        {"0": "contradiction", "1": "entailment", "2": "neutral"},
        {"contradiction": 0, "entailment": 1, "neutral": 2},
    )
    assert_same(model, again)


@pytest.mark.parametrize("labels", [1, 3])
def test_classes_are_none_where_never_named(folders, tmp_path, labels):
    model = build(folders, labels, "sigmoid")
    model.save_pretrained(tmp_path)
    assert model.classes is None
    assert CrossEncoder.from_pretrained(tmp_path).classes is None


def test_classes_are_in_the_order_of_the_logits(tmp_path):
    # JSON keeps the keys as text: "10" comes before "2" there, as does what is written first
    folder = write_classifier(tmp_path, 12)
    names = [f"class {k}" for k in range(12)]
    config = load(folder / "config.json")
    config["id2label"] = {str(k): names[k] for k in reversed(range(12))}
    config["label2id"] = {names[k]: k for k in range(12)}
    (folder / "config.json").write_text(json.dumps(config))
    assert CrossEncoder.from_pretrained(folder).classes == names


def test_one_class_of_a_name_of_its_own_is_named(tmp_path):
    folder = write_classifier(tmp_path, 2)
    change(
        folder / "config.json",
        id2label={"0": "LABEL_0", "1": "yes"},
        label2id={"LABEL_0": 0, "yes": 1},
    )
    assert CrossEncoder.from_pretrained(folder).classes == ["LABEL_0", "yes"]


# sentence-transformers itself


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sentence_transformers").CrossEncoder


def theirs_of(theirs, folder: Path, **options):
    return theirs(str(folder), device="cpu", local_files_only=True, **options)


def their_scores(model, pairs: Pairs) -> np.ndarray:
    return model.predict(pairs, show_progress_bar=False)


@pytest.fixture
def long_pairs(pairs) -> Pairs:
    """With some that a max_length of 20 cuts."""
    return [*pairs, (" ".join(WORDS), "a cat"), ("a cat", " ".join(WORDS))]


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_sentence_transformers_loads_what_is_saved_here(
    theirs, folders, tmp_path, long_pairs, labels, activation
):
    model = build(folders, labels, activation)
    model.save_pretrained(tmp_path)
    loaded = theirs_of(theirs, tmp_path)
    assert (loaded.num_labels, loaded.max_seq_length) == (labels, 20)
    # theirs leave classes as logits
    ours = model.predict(long_pairs, logits=activation == "softmax", precision="fp32")
    np.testing.assert_allclose(their_scores(loaded, long_pairs), ours, atol=1e-5)
    if activation == "softmax":
        probabilities = loaded.predict(long_pairs, apply_softmax=True, show_progress_bar=False)
        np.testing.assert_allclose(
            probabilities, model.predict(long_pairs, precision="fp32"), atol=1e-5
        )


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_what_sentence_transformers_saves_loads_here(
    theirs, folders, tmp_path, long_pairs, labels, activation
):
    function = torch.nn.Sigmoid() if activation == "sigmoid" else torch.nn.Identity()
    model = theirs_of(theirs, folders[labels], max_length=20, activation_fn=function)
    model.save_pretrained(str(tmp_path), create_model_card=False)
    loaded = CrossEncoder.from_pretrained(tmp_path)
    assert (loaded.activation, loaded.max_length, loaded.dim) == (activation, 20, labels)
    found = loaded.predict(long_pairs, logits=activation == "softmax", precision="fp32")
    np.testing.assert_allclose(found, their_scores(model, long_pairs), atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [SIGMOID, IDENTITY])
def test_layouts_by_hand_are_what_sentence_transformers_reads(theirs, tmp_path, layout, name):
    folder = write_classifier(tmp_path)
    LAYOUTS[layout](folder, name)
    some = [("a cat", "red"), ("the dog", "a man")]
    found = CrossEncoder.from_pretrained(folder).predict(some, precision="fp32")
    np.testing.assert_allclose(found, their_scores(theirs_of(theirs, folder), some), atol=1e-5)


def test_the_6x_layout_is_as_sentence_transformers_writes_it(theirs, folders, tmp_path):
    theirs_of(theirs, folders[1]).save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    made = write_classifier(tmp_path / "ours")
    layout_6x(made, SIGMOID)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        found = load(tmp_path / "theirs" / name)
        if isinstance(found, dict):
            found.pop("__version__", None)
        assert found == load(made / name)
    config = load(tmp_path / "theirs" / "config.json")
    assert not {"sentence_transformers", "sbert_ce_default_activation_function"} & config.keys()


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
def test_what_goes_through_both_stays(theirs, folders, tmp_path):
    model = build(folders, 3, "softmax")
    model.classes = NLI
    model.save_pretrained(tmp_path / "ours")
    theirs_of(theirs, tmp_path / "ours").save_pretrained(
        str(tmp_path / "theirs"), create_model_card=False
    )
    assert_same(model, CrossEncoder.from_pretrained(tmp_path / "theirs"))


def test_lower_case_is_the_same_for_sentence_transformers(theirs, folders, tmp_path):
    loaded = CrossEncoder.from_pretrained(folders[1])
    loaded.tokenizer.backend_tokenizer.normalizer.lowercase = False
    model = CrossEncoder(
        loaded.transformer, loaded.tokenizer, 20, "sigmoid", lower_case=True
    ).eval()
    model.save_pretrained(tmp_path)
    some = [("The CAT", "A Dog")]
    found = their_scores(theirs_of(theirs, tmp_path), some)
    np.testing.assert_allclose(found, model.predict(some, precision="fp32"), atol=1e-5)


def test_saving_over_a_folder_of_sentence_transformers(theirs, folders, tmp_path):
    """What it left there must not speak for the new model."""
    model = theirs_of(theirs, folders[1], activation_fn=torch.nn.Identity())
    model.save_pretrained(str(tmp_path), create_model_card=False)
    ours = build(folders, 1, "sigmoid")
    ours.save_pretrained(tmp_path)
    assert_same(ours, CrossEncoder.from_pretrained(tmp_path))


@pytest.mark.real
@needs_weights
def test_real_weights_go_both_ways(theirs, tmp_path):
    torch.manual_seed(0)
    model = CrossEncoder.from_pretrained(WEIGHTS)
    with torch.no_grad():
        model.transformer.classifier.weight *= 20  # a fresh head tells pairs hardly apart
    model.save_pretrained(tmp_path / "ours")
    some = [
        ("A man is eating.", "Someone has lunch."),
        ("A plane takes off.", "Two cats sleep on a warm sofa!"),
    ]
    found = model.predict(some, precision="fp32")
    assert abs(found[0] - found[1]) > 0.01
    loaded = theirs_of(theirs, tmp_path / "ours")
    np.testing.assert_allclose(their_scores(loaded, some), found, atol=1e-5)
    loaded.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    again = CrossEncoder.from_pretrained(tmp_path / "theirs")
    assert (again.max_length, again.activation) == (model.max_length, "sigmoid")
    np.testing.assert_allclose(again.predict(some, precision="fp32"), found, atol=1e-6)
    np.testing.assert_allclose(again.predict(some, precision="bf16"), found, atol=0.02)


def test_names_of_classes_are_as_many_as_the_classes(tiny_folder):
    model = CrossEncoder.from_pretrained(tiny_folder, num_labels=3)
    with pytest.raises(InputError, match="classes: 2 names for the 3 classes of the model"):
        model.classes = ["a", "b"]
    assert model.dim == 3


def test_a_new_head_has_no_names_of_classes(tiny_folder, tmp_path):
    model = CrossEncoder.from_pretrained(tiny_folder, num_labels=3)
    model.classes = ["a", "b", "c"]
    model.save_pretrained(tmp_path)
    assert CrossEncoder.from_pretrained(tmp_path, num_labels=3, new_head=True).classes is None


def test_a_length_of_zero_is_not_taken_for_none(tiny_folder):
    with pytest.raises(InputError, match="max_length 0 leaves no room"):
        CrossEncoder.from_pretrained(tiny_folder, max_length=0)


def test_a_cross_encoder_of_several_modules_is_refused(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "modular")
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
               for i, (path, kind) in enumerate((("", "Transformer"), ("1_Pooling", "Pooling")))]  # fmt: skip
    (tmp_path / "modular/modules.json").write_text(json.dumps(modules), "utf-8")
    facts = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    (tmp_path / "modular/config_sentence_transformers.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(
        InputError, match="a cross-encoder of several modules is not supported here"
    ):
        CrossEncoder.from_pretrained(tmp_path / "modular")


def test_the_last_layer_computes_the_first_position_alone_and_exactly(tiny_folder):
    """The model with the shortcut against transformers' own, in training too: the gradients of all weights are equal."""
    torch.manual_seed(0)
    model = CrossEncoder.from_pretrained(tiny_folder, num_labels=2)
    shapes = []
    last = model.transformer.bert.encoder.layer[-1]
    last.intermediate.register_forward_hook(lambda module, given, made: shapes.append(made.shape))
    theirs = AutoModelForSequenceClassification.from_pretrained(tiny_folder, num_labels=2)
    theirs.load_state_dict(model.transformer.state_dict())
    inputs = bert_tokenizer()(
        ["a cat sits", "the dog"], ["a", "the man runs fast"], padding=True, return_tensors="pt"
    )
    for own, other in (
        (model.transformer, model.transform(None, dict(inputs))),
        (theirs.eval(), theirs(**inputs)),
    ):
        own.zero_grad()
        other.logits.square().sum().backward()
    assert shapes == [(2, 1, 64)]
    for (name, p), q in zip(model.transformer.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-4, msg=name)
