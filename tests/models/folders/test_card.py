"""Model cards: metadata that the hub's own reader understands, and examples that run."""

import re

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard as HubCard
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder
from sbert.models.adapters import add_lora
from sbert.models.config import LoraConfig
from sbert.models.folders.card import CARD, ModelCard, read_metadata, write_card


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def base(tmp_path):
    """A folder with nothing but a card."""
    (tmp_path / "base").mkdir()

    def write(card: str) -> str:
        (tmp_path / "base" / CARD).write_text(card, "utf-8")
        return str(tmp_path / "base")

    return write


def written(folder, model, card) -> str:
    model.save_pretrained(folder)
    write_card(folder, model, card)
    return (folder / CARD).read_text("utf-8")


def blocks(text: str, folder) -> list[str]:
    """The examples of a card, for the folder in which it lies."""
    found = re.findall(r"```python\n(.*?)```", text, re.S)
    return [block.replace("path/to/this/folder", str(folder)) for block in found]


def computed(code: str) -> dict:
    names = {}
    exec(code, names)
    return names


def test_metadata_of_a_bi_encoder(folder, tiny, tiny_folder):
    card = ModelCard("news", str(tiny_folder), ["de", "no"], ["me/pairs"], sections=["## More"])
    text = written(folder, tiny, card)
    assert HubCard(text).data.to_dict() == {
        "language": ["de", "no"],
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction"],
        "datasets": ["me/pairs"],
    }
    # what is left to the user is a comment; null would be refused by the hub
    head = text.split("\n---\n")[0]
    assert "\n# license: " in head
    assert "\n# base_model: " in head
    assert "# language" not in head
    assert "\n# `news`\n" in text
    assert text.endswith("\n## More\n")
    assert not list(folder.glob("*.new"))


def test_description_of_a_bi_encoder(folder, tiny_folder):
    prompts = {"query": "query: ", "wide|open": 'a "b"\n', "none": ""}
    model = BiEncoder.from_pretrained(
        tiny_folder, ["cls", "mean"], 16, prompts=prompts, default_prompt_name="query"
    )
    model.include_prompt, model.truncate_dim, model.similarity_fn_name = False, 8, "dot"
    text = written(folder, model, ModelCard("m", str(tiny_folder)))
    lines = [re.sub(" +", " ", line) for line in text.splitlines()]
    for line in (
        f"| base model | `{tiny_folder}` |",
        f"| encoder | bert, {sum(w.numel() for w in model.parameters()):,} weights |",
        "| embedding | the first 8 of 64 numbers |",
        "| pooling | cls, mean, without the tokens of the prompt |",
        "| longest text | 16 tokens, special ones included |",
        "| similarity | dot |",
        '| prompt `query` | `"query: "` (the default) |',
        '| prompt `wide\\|open` | `"a \\"b\\"\\n"` |',
        '| prompt `none` | `""` |',
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("labels", "task", "output"),
    [
        (1, "text-ranking", "one score, activation sigmoid"),
        (3, "text-classification", "3 classes, activation softmax"),
    ],
)
def test_card_of_a_cross_encoder(tmp_path, folder, labels, task, output):
    base = write_classifier(tmp_path / "base", labels)
    model = CrossEncoder.from_pretrained(base)
    if labels == 3:
        model.classes = ["no", "a|b", "yes"]
    text = written(folder, model, ModelCard("m", str(base)))
    assert HubCard(text).data.pipeline_tag == task
    assert re.search(rf"\| output +\| {output} +\|", text)
    assert "| longest pair | 64 tokens, special ones included" in text
    assert ("| classes      | `no`, `a\\|b`, `yes`" in text) == (labels == 3)


@pytest.fixture
def fp32(monkeypatch):
    """The default precision on any hardware."""
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr("sbert.models.encoder.resolve_precision", lambda *_: torch.float32)


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        (None, None, {"embeddings": ""}),
        ({"query": "the "}, "query", {"embeddings": "the "}),
        ({"query": "the "}, None, {"queries": "the ", "documents": ""}),
        ({"query": "a ", "passage": "a cat "}, None, {"queries": "a ", "documents": "a cat "}),
        ({"STS": "the ", "document": "a "}, "STS", {"queries": "", "documents": "a "}),
    ],
)
def test_examples_of_a_bi_encoder_agree(folder, tiny_folder, prompts, default, expected):
    """Run as they stand, with both libraries."""
    model = BiEncoder.from_pretrained(tiny_folder, prompts=prompts, default_prompt_name=default)
    text = written(folder, model, ModelCard("m", str(tiny_folder)))
    texts = {
        "embeddings": ["A man is eating food.", "Someone has lunch."],
        "queries": ["What is a spider?"],
        "documents": ["A spider has eight legs."],
    }
    for code in blocks(text, folder):
        names = computed(code)
        assert texts.keys() & names.keys() == expected.keys()
        for name, prompt in expected.items():
            embeddings = model.encode(texts[name], prompt=prompt)
            np.testing.assert_allclose(names[name], embeddings, atol=1e-5)
    assert names["scores"].shape == ((2, 2) if "embeddings" in expected else (1, 1))


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("labels", [1, 3])
def test_examples_of_a_cross_encoder_agree(tmp_path, folder, labels):
    base = write_classifier(tmp_path / "base", labels)
    text = written(folder, CrossEncoder.from_pretrained(base), ModelCard("m", str(base)))
    ours, theirs = (computed(code) for code in blocks(text, folder))
    np.testing.assert_allclose(ours["scores"], theirs["scores"], atol=1e-5)


@pytest.mark.parametrize("save", ["merged", "adapter"])
def test_card_of_a_model_with_lora(folder, tiny, tiny_folder, save):
    pytest.importorskip("peft")
    count = sum(weight.numel() for weight in tiny.parameters())
    add_lora(tiny.transformer, LoraConfig(rank=2, save=save), str(tiny_folder))
    text = written(folder, tiny, ModelCard("m", str(tiny_folder)))
    assert f"| bert, {count:,} weights" in text
    assert ("a LoRA adapter" in text) == (save == "adapter")
    assert len(computed(blocks(text, folder)[0])["embeddings"]) == 2


# the base's card


def test_what_the_card_of_the_base_declares(base, folder, tiny):
    card = "---\nlanguage: [en, no]\nlicense: mit\nbase_model: me/small\n---\n# Not this model\n"
    found = HubCard(written(folder, tiny, ModelCard("m", base(card))))
    assert (found.data.language, found.data.base_model) == (["en", "no"], "me/small")
    assert found.data.license is None
    assert "Not this model" not in found.text
    # languages of the data go first
    found = HubCard(written(folder, tiny, ModelCard("m", base(card), languages=["de"])))
    assert found.data.language == ["de"]


@pytest.mark.parametrize(
    "card", ["", "# no metadata", "---\n[a, b\n---\n", "---\n- a\n---\n", "---\nlanguage:\n---\n"]
)
def test_base_that_declares_nothing(base, folder, tiny, card):
    text = written(folder, tiny, ModelCard("m", base(card)))
    assert HubCard(text).data.language is None
    assert "\n# language: " in text


def test_base_of_the_hub(folder, tiny, monkeypatch, tiny_folder):
    monkeypatch.setattr("sbert.models.folders.card.locate_folder", lambda name: tiny_folder)
    found = HubCard(written(folder, tiny, ModelCard("m", "me/small")))
    assert found.data.base_model == "me/small"


def test_metadata_is_read_as_text(base, tmp_path):
    base("---\r\nlanguage: no\r\nyear: 2024\r\n---\r\n")
    assert read_metadata(tmp_path / "base") == {"language": "no", "year": "2024"}
    assert read_metadata(tmp_path) == {}


@pytest.mark.parametrize(
    "name", ["a: b", "`x`", "''|\"", "- # !x", "---", "no", "a\n---\nb", "*é* <b>", "{x}", "1.0"]
)
def test_names_of_any_characters(folder, tiny, tiny_folder, name):
    result = {
        "task": {"type": "t"},
        "dataset": {"type": "unknown", "name": name},
        "metrics": [{"type": "m", "value": 0.5}],
    }
    text = written(folder, tiny, ModelCard(name, str(tiny_folder), results=[result]))
    data = HubCard(text).data
    assert data.model_name == name
    assert [found.dataset_name for found in data.eval_results] == [name]
    assert yaml.safe_load(text.split("\n---\n")[0].removeprefix("---"))["model-index"]
    assert re.search(r"\n---\n\n# `+ ?.* ?`+\n\nA bi-encoder", text)
