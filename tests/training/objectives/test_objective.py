"""The objective computes all columns in one forward pass; a training set tokenises a text once."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_models import ids_of

from sbert import BiEncoder, InputError
from sbert.data.rows import Rows
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.ranking import known_positives
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.objectives import token_files
from sbert.training.objectives.objective import Objective, TrainingSet
from sbert.training.objectives.token_files import TokenFiles


def rows(task="sts", columns=2, n=6, labels=None, **options):
    texts = [[f"the cat sits {'on ' * (i + c)}" for i in range(n)] for c in range(columns)]
    labels = (
        np.linspace(0, 1, n).astype(np.float32) if labels is None and task != "triplet" else labels
    )
    return Rows(f"some-{task}", task, texts, labels, **options)


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        (CosineSimilarityLoss(), rows()),
        (TripletLoss(), rows("triplet", 3)),
        (SoftmaxLoss(), rows("nli", labels=np.array([0, 1, 2, 0, 1, 2]), classes=["a", "b", "c"])),
        (ContrastiveLoss(), rows("binary", labels=np.array([0, 1, 0, 1, 0, 1], np.float32))),
    ],
)
def test_loss_equals_one_forward_pass_a_column(tiny, loss, data):
    training_set = TrainingSet.from_datasets([data], tiny)
    objective = Objective(tiny, loss)
    batch = training_set.batch(np.array([4, 0, 3]))
    columns = []
    for column in data.texts:
        tokens = tiny.tokenizer([column[i] for i in (4, 0, 3)], padding=True, return_tensors="pt")
        columns.append(tiny(tokens["input_ids"], tokens["attention_mask"]))
    labels = None if data.labels is None else torch.from_numpy(data.labels[[4, 0, 3]])
    torch.testing.assert_close(objective(batch), loss(columns, labels))


def test_head_of_the_loss_is_part_of_the_objective(tiny):
    names = [name for name, _ in Objective(tiny, SoftmaxLoss()).named_parameters()]
    assert [name for name in names if not name.startswith("model.")] == [
        "losses.0.head.weight",
        "losses.0.head.bias",
    ]


def test_distinct_texts_are_tokenised_once(tiny):
    data = rows(n=6)
    training_set = TrainingSet.from_datasets([data, data], tiny)
    assert len(training_set.table.lengths) == len({t for column in data.texts for t in column})
    assert training_set.texts.shape == (12, 2)
    assert training_set.sizes == (6, 6)
    assert training_set.lengths[:6].tolist() == [5 + i + 1 for i in range(6)]


# prompts


def prompted(folder, include_prompt=True):
    prompts = {"query": "the cat ", "passage": "a dog "}
    model = BiEncoder.from_pretrained(folder, prompts=prompts, default_prompt_name="passage")
    model.include_prompt = include_prompt
    return model


def test_texts_are_tokenised_with_the_prompts_of_their_dataset_and_column(tiny_folder):
    model = prompted(tiny_folder)
    own = rows(n=3, prompts=["query", ""])
    wide = rows("triplet", 3, n=2)
    wide.labels = own.labels[:2]
    data = TrainingSet.from_datasets([own, wide, rows(n=2)], model)
    expected = [
        *(("the cat ", own.texts[0][i], "", own.texts[1][i], None, None) for i in range(3)),
        *(sum((("a dog ", column[i]) for column in wide.texts), ()) for i in range(2)),
        *(("a dog ", own.texts[0][i], "a dog ", own.texts[1][i], None, None) for i in range(2)),
    ]
    for cells, row in zip(data.texts, expected, strict=True):
        for cell, prompt, text in zip(cells, row[::2], row[1::2], strict=True):
            if text is None:
                assert cell == -1
            else:
                assert ids_of(data.table, cell) == model.tokenizer(prompt + text)["input_ids"]
    # the texts of `rows(n=2)` with the default prompt are among those of the triplets
    assert len(data.table.lengths) == 6 + 4


@pytest.mark.parametrize("many_texts", [1, 1000])
def test_a_text_has_one_id_whatever_its_prompts(tiny_folder, tmp_path, monkeypatch, many_texts):
    """In the columns of a dataset and in several datasets, from memory and from files."""
    monkeypatch.setattr(token_files, "MANY_TEXTS", many_texts)
    tokenize = TokenFiles(Accelerator(cpu=True), tmp_path / "tables").tokenize_columns
    one = Rows("one", "pair", [["cat", "dog"], ["dog", "man"]], None, prompts=["query", "passage"])
    wide = [["dog", "cat"], ["cat", "red"], ["red", None]]
    two = Rows("two", "triplet", wide, None, prompts=["passage", "", "query"])
    for _ in range(2):  # the second time, files are read
        data = TrainingSet.from_datasets([one, two], prompted(tiny_folder), tokenize)
        ids, _ = data.texts_and_labels(np.arange(4))
        assert data.batch(np.arange(4))["texts"].tolist() == ids.tolist()
        cat, dog, man, red = ids[0, 0].item(), ids[0, 1].item(), ids[1, 1].item(), ids[2, 2].item()
        assert len({cat, dog, man, red}) == 4
        assert ids.tolist() == [[cat, dog, -1], [dog, man, -1], [dog, cat, red], [cat, red, -1]]
    assert len(data.table.lengths) == 8  # each text with each of its prompts
    anchors, positives = ids[:2].T[:2]
    assert known_positives(anchors, positives, positives).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("include_prompt", [True, False])
def test_the_loss_of_texts_with_prompts(tiny_folder, include_prompt):
    model, data = prompted(tiny_folder, include_prompt), rows(prompts=["query", "passage"])
    objective = Objective(model, CosineSimilarityLoss())
    found = objective(TrainingSet.from_datasets([data], model).batch(np.arange(6)))
    columns = [
        torch.from_numpy(model.encode(texts, prompt_name=name, precision="fp32"))
        for name, texts in zip(data.prompts, data.texts, strict=True)
    ]
    expected = CosineSimilarityLoss()(columns, torch.from_numpy(data.labels))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_prompt_that_the_model_lacks_or_cannot_hold_is_refused(tiny_folder):
    with pytest.raises(InputError, match="dataset some-sts: prompts: the model has no prompt 'no'"):
        TrainingSet.from_datasets([rows(prompts=["no", ""])], prompted(tiny_folder))
    model = BiEncoder.from_pretrained(tiny_folder, prompts={"long": "the cat " * 40})
    with pytest.raises(InputError, match="leave no room for a text: max_length 64"):
        TrainingSet.from_datasets([rows(prompts=["long", ""])], model)
