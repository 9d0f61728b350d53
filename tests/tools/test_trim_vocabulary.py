"""A trimmed vocabulary: the same embeddings where all pieces stay, and what is reported."""

import re
import shutil

import numpy as np
import pytest
import transformers
from families import write_classifier
from huggingface_hub import ModelCard as HubCard
from model_folders import dump, headed, load
from scipy.stats import spearmanr
from tiny_models import WORDS, write_tiny
from transformers import AutoTokenizer
from trim_inputs import FAMILY, KEPT, KINDS, OTHER, text_file, trim, write_family, write_nested

from sbert import BiEncoder, CrossEncoder
from sbert.models.encoder import Encoder


def pieces(model: Encoder, text: str) -> list[str]:
    return model.text_tokenizer.backend.encode(text).tokens


def all_tokens(model: Encoder) -> list[str]:
    """The tokens in the order of their ids."""
    vocabulary = model.tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


@pytest.mark.parametrize("name", KINDS)
def test_kept_texts_have_the_same_embeddings(name, tmp_path):
    folder = write_family(name, tmp_path / "whole")
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(trim(folder))
    assert len(trimmed.tokenizer) < len(whole.tokenizer)
    assert len(trimmed.transformer.get_input_embeddings().weight) == len(trimmed.tokenizer)
    stays = set(all_tokens(trimmed))
    texts = [text for text in KEPT + OTHER if stays.issuperset(pieces(whole, text))]
    if not FAMILY[name].reads_nothing:
        texts = [text for text in texts if text]
    assert set(KEPT) < set(texts)  # some text that was not given is cut into pieces that stay
    for text in texts:
        assert pieces(trimmed, text) == pieces(whole, text)
    options = {"precision": "fp32"}
    np.testing.assert_array_equal(trimmed.encode(texts, **options), whole.encode(texts, **options))


def test_card_is_of_the_trimmed_model(tmp_path):
    folder = write_family("BERT", tmp_path / "whole")
    card = "---\nlanguage: [en, de]\nbase_model: me/whole\n---\n# All 30,522 pieces\n"
    (folder / "README.md").write_text(card, "utf-8")
    output = trim(folder, "--min_count", "2")
    text = (output / "README.md").read_text("utf-8")
    found = HubCard(text)
    assert (found.data.language, found.data.base_model) == (["en", "de"], "me/whole")
    assert "30,522" not in text
    assert "Pieces stay that these texts use, 2 times or more" in text
    tokens = len(BiEncoder.from_pretrained(output).tokenizer)
    assert re.search(rf"\| pieces +\| +[\d,]+ \| +{tokens:,} \|", text)


def test_card_has_the_languages_of_the_texts(tmp_path):
    folder = write_tiny(tmp_path / "whole")
    (folder / "README.md").write_text("---\nlanguage: [fr, it]\n---\n", "utf-8")
    for language in ("de", "en"):
        text_file(tmp_path / f"{language}.txt", ["a cat"])
    aligned = f'{{path: "{tmp_path}/{{language}}.txt", languages: [en, de]}}'
    output = trim(folder, aligned)
    assert HubCard((output / "README.md").read_text("utf-8")).data.language == ["en", "de"]


@pytest.mark.parametrize("name", ["XLM-R", "BERT", "RoBERTa", "Qwen3", "Gemma"])
def test_order_rows_and_ids(name, tmp_path):
    """Tokens keep their order and their rows; special ones are found at their new ids."""
    folder = write_family(name, tmp_path / "whole")
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(trim(folder))
    tokens = all_tokens(trimmed)
    assert tokens == [token for token in all_tokens(whole) if token in tokens]
    old_ids = whole.tokenizer.convert_tokens_to_ids(tokens)
    old, new = (m.transformer.get_input_embeddings().weight.detach() for m in (whole, trimmed))
    np.testing.assert_array_equal(new, old[old_ids])
    assert trimmed.tokenizer.special_tokens_map == whole.tokenizer.special_tokens_map
    before, after = whole.transformer.config, trimmed.transformer.config
    assert after.vocab_size == len(tokens)
    for key in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"):
        old_id = getattr(before, key, None)
        if old_id is not None:
            assert tokens[getattr(after, key)] == all_tokens(whole)[old_id]
    alone = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    whole_alone = AutoTokenizer.from_pretrained(folder)
    for pair in (KEPT[:1], KEPT[:2]):
        ids = alone(*pair)["input_ids"]
        assert alone.convert_ids_to_tokens(ids) == whole_alone.convert_ids_to_tokens(
            whole_alone(*pair)["input_ids"]
        )


def named_tokens(model: Encoder, settings: dict) -> dict:
    """The settings of a config.json that are ids of tokens, with the tokens instead."""
    tokens, named = all_tokens(model), {}
    for name, value in settings.items():
        if "_token_i" in name and value is not None:
            ids = value if isinstance(value, list) else [value]
            named[name] = [tokens[i] for i in ids]
    return named


def test_lists_of_ids_are_renumbered(tmp_path):
    """Llama 3 has several ends; pieces that no text uses stay as what the settings name."""
    folder = write_family("Llama", tmp_path / "whole")
    ids = {"eos_token_id": [2, 400, 401], "bad_token_ids": [402], "pad_token_id": None}
    dump(folder / "config.json", load(folder / "config.json") | ids)
    output = trim(folder)
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(output)
    expected = named_tokens(whole, load(folder / "config.json"))
    assert set(expected) == {"bos_token_id", "eos_token_id", "bad_token_ids"}
    assert named_tokens(trimmed, load(output / "config.json")) == expected


@pytest.mark.skipif(
    not hasattr(transformers, "Gemma3ForSequenceClassification"), reason="no such model"
)
def test_ids_of_a_nested_configuration_are_renumbered(tmp_path):
    folder = write_nested(tmp_path / "whole")
    output = trim(folder)
    whole, trimmed = CrossEncoder.from_pretrained(folder), CrossEncoder.from_pretrained(output)
    before, after = load(folder / "config.json"), load(output / "config.json")
    expected = named_tokens(whole, before)
    assert expected.keys() >= {"image_token_index", "boi_token_index", "eoi_token_index"}
    assert named_tokens(trimmed, after).items() >= expected.items()
    inside, inside_after = before["text_config"], after["text_config"]
    assert inside_after["vocab_size"] == len(trimmed.tokenizer) < inside["vocab_size"]
    assert named_tokens(trimmed, inside_after) == named_tokens(whole, inside)
    pairs = list(zip(KEPT, KEPT[::-1], strict=True))
    np.testing.assert_array_equal(trimmed.predict(pairs), whole.predict(pairs))


@pytest.mark.parametrize("name", ["XLM-R", "BERT", "T5, whole", "BART", "Llama"])
def test_a_cross_encoder_keeps_its_head(name, tmp_path):
    folder = write_classifier(FAMILY[name], tmp_path / "whole", labels=3)
    output = trim(folder)
    whole, trimmed = CrossEncoder.from_pretrained(folder), CrossEncoder.from_pretrained(output)
    assert len(trimmed.tokenizer) < len(whole.tokenizer)
    pairs = list(zip(KEPT, KEPT[::-1], strict=True))
    expected = whole.predict(pairs, logits=True, precision="fp32")
    np.testing.assert_array_equal(trimmed.predict(pairs, logits=True, precision="fp32"), expected)


def test_everything_else_of_a_folder_is_kept(tmp_path):
    folder = headed(tmp_path / "whole", write_tiny(tmp_path / "tiny"))
    usage = {"prompts": {"query": "big "}, "default_prompt_name": "query"}
    dump(folder / "config_sentence_transformers.json", usage | {"similarity_fn_name": "dot"})
    (folder / "vocab.txt").write_text("an older form")
    dump(folder / "sentence_bert_config.json", {"max_seq_length": 9, "do_lower_case": True})
    output = trim(folder, texts=["the cat sits"])
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(output)
    assert trimmed.result_settings == whole.result_settings
    assert (trimmed.max_length, trimmed.text_tokenizer.lower_case) == (9, True)
    np.testing.assert_array_equal(
        trimmed.encode(["the cat", "THE CAT SITS"]), whole.encode(["the cat", "THE CAT SITS"])
    )
    assert not list(output.glob("*.txt"))
    trimmed.save_pretrained(tmp_path / "again")
    assert BiEncoder.from_pretrained(tmp_path / "again").fingerprint == trimmed.fingerprint


def test_a_trimmed_tokenizer_beside_the_whole_weights_is_warned_of(tmp_path):
    folder = write_tiny(tmp_path / "whole")
    whole = len(AutoTokenizer.from_pretrained(folder))
    output = trim(folder, texts=["the cat"])
    shutil.copy(output / "tokenizer.json", folder)
    trimmed = len(AutoTokenizer.from_pretrained(output))
    sizes = f"the tokenizer has {trimmed} tokens, and the model embeddings for {whole}; unless"
    for kind in (BiEncoder, CrossEncoder):
        with pytest.warns(UserWarning, match=sizes) as caught:
            kind.from_pretrained(folder)
        assert caught[0].filename == __file__


def test_count_threshold(tmp_path):
    """Of "the dog", which is there twice, one counts: the 3, cat 2, dog 1, sits 1."""
    texts = ["the cat", "the dog", "the dog", "the cat sits"]
    output = trim(write_tiny(tmp_path / "whole"), "--min_count", "2", texts=texts)
    longer = {t for t in AutoTokenizer.from_pretrained(output).get_vocab() if len(t) > 3}
    assert longer == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    words = {w for w in WORDS if w in AutoTokenizer.from_pretrained(output).get_vocab()}
    assert words == {"a", "the", "cat"}


def test_prompts_are_texts_too(tmp_path):
    folder = write_tiny(tmp_path / "whole")
    output = trim(folder, "--prompts", "{query: 'big house '}", texts=["the cat"])
    vocabulary = AutoTokenizer.from_pretrained(output).get_vocab()
    assert {w for w in WORDS if w in vocabulary} == {"a", "the", "cat", "big", "house"}
    assert BiEncoder.from_pretrained(output).prompts == {}


def test_the_report(tmp_path, capsys):
    folder = write_tiny(tmp_path / "whole")
    held = text_file(tmp_path / "held.txt", ["the dog", "The  cat", "big cat", "a cat", "a dog"])
    others = ["the dog", "a cat", "the cat"]
    rows = [f"the cat\t{other}\t{score}\n" for score, other in enumerate(others)]
    (tmp_path / "pairs.tsv").write_text("".join(["sentence1\tsentence2\tscore\n", *rows]))
    sts = f"{{path: {tmp_path / 'pairs.tsv'}, range: [0, 2]}}"
    (tmp_path / "alike.tsv").write_text("a\tb\nthe cat\tThe  cat\nthe dog\tthe dog\n")
    pairs = f"{{path: {tmp_path / 'alike.tsv'}, task: pair, texts: [a, b]}}"
    output = trim(folder, "--heldout", held, "--sts", sts, pairs, texts=["the cat"])
    lines = capsys.readouterr().out.splitlines()
    cells = {}
    for line in lines:
        name, *values = [cell.strip() for cell in line.strip("|").split("|")]
        cells[name] = values
    kept = len(AutoTokenizer.from_pretrained(output))
    whole = len(AutoTokenizer.from_pretrained(folder))
    assert lines[0] == "1 distinct texts use 2 pieces at all"
    assert cells["pieces"] == [str(whole), str(kept), f"{kept / whole:.1%}"]
    # "The  cat" is given, but for case and spaces. dog: d ##o ##g, big: b ##i ##g; 14 tokens for 8
    assert cells["held"] == ["1", "4", "3", "75.00", "75.00"]
    assert cells["alike"] == ["2", "mean_accuracy_cosine", "100.00", "100.00", "+0.00"]
    count, metric, before, after, change = cells["pairs"]
    assert metric == "spearman_cosine"
    scores = []
    for path in (folder, output):
        first, *rest = BiEncoder.from_pretrained(path).encode(["the cat", *others], normalize=True)
        cosines = [first @ other for other in rest]
        scores.append(100 * spearmanr(cosines, [0, 1, 2]).statistic)
    assert [count, before, after] == ["3", *(f"{score:.2f}" for score in scores)]
    assert change == f"{scores[1] - scores[0]:+.2f}"
    assert lines[-1] == f"the trimmed model: {output}"
