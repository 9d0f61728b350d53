"""Files of a tokenizer that older versions of transformers and tokenizers read.

tools/check_older_libraries.py tries it with the versions themselves.
"""

import json
import re

import pytest
from families import FAMILIES, write_encoder
from model_folders import dump, load
from tiny_models import write_tiny
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trim_inputs import cut_rows

from sbert import BiEncoder, InputError
from sbert.models.folders.tokenizer import save_tokenizer

TEXT = "the Cat eats 3 pizza in naïve 日本 \n"


@pytest.mark.parametrize("name", ["BERT", "XLM-R", "Qwen2", "ModernBERT", "Llama"])
def test_what_is_saved_is_named_as_older_versions_know_it(tmp_path, name):
    (family,) = [one for one in FAMILIES if one.name == name]
    model = BiEncoder.from_pretrained(write_encoder(family, tmp_path / "theirs"))
    model.save_pretrained(tmp_path / "ours")
    settings = load(tmp_path / "ours/tokenizer_config.json")
    assert settings["tokenizer_class"] != "TokenizersBackend"
    assert settings["model_max_length"] == model.max_length
    merges = load(tmp_path / "ours/tokenizer.json")["model"].get("merges", [])
    assert all(isinstance(merge, str) for merge in merges)
    again = BiEncoder.from_pretrained(tmp_path / "ours")
    assert again.tokenizer(TEXT)["input_ids"] == model.tokenizer(TEXT)["input_ids"]
    assert again.fingerprint == model.fingerprint


NAMING = {
    "special_tokens_map.json": {"mask_token": {"content": "[NEW]", "lstrip": True}},
    "tokenizer_config.json": {"additional_special_tokens": ["[A]", "[NEW]"]},
}


@pytest.mark.parametrize("file", NAMING)
@pytest.mark.parametrize("spare_rows", [0, 8])
def test_a_token_that_only_the_settings_name_is_refused(tmp_path, file, spare_rows):
    """transformers gives it the id after the last, which spare rows of the embeddings may have."""
    root = write_tiny(tmp_path / "model")
    cut_rows(root, 1 + spare_rows)
    content = load(root / "tokenizer.json")
    known = {"id": len(content["model"]["vocab"]), "content": "[A]"}
    content["added_tokens"].append(content["added_tokens"][0] | known)
    dump(root / "tokenizer.json", content)
    settings = load(root / "tokenizer_config.json") | {"add_bos_token": True}
    names = {"additional_special_tokens": ["[A]"]}
    dump(root / "tokenizer_config.json", settings | names)
    BiEncoder.from_pretrained(root)
    settings = load(root / file) if (root / file).exists() else {}
    dump(root / file, settings | NAMING[file])
    (key,) = NAMING[file]
    expected = f"{root}: the tokenizer lacks the special token [NEW], which {file} names as {key}; "
    with pytest.raises(InputError, match=re.escape(expected)):
        BiEncoder.from_pretrained(root)


def test_a_token_that_the_class_of_a_tokenizer_adds_is_named(tmp_path):
    """The settings need not name the tokens that BertTokenizer has by default."""
    root = write_tiny(tmp_path / "model")
    dump(root / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    BiEncoder.from_pretrained(root)
    content = load(root / "tokenizer.json")
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "[MASK]"]
    content["model"]["vocab"]["other"] = content["model"]["vocab"].pop("[MASK]")
    dump(root / "tokenizer.json", content)
    with pytest.raises(InputError, match=r"; tokenizer.json lacks \[MASK\], which BertTokenizer"):
        BiEncoder.from_pretrained(root)


def test_merges_of_tokens_with_spaces_stay_lists(tmp_path):
    vocabulary = {"a": 0, " ": 1, "a ": 2, "a a": 3}
    merges = [("a", " "), ("a ", "a")]
    backend = Tokenizer(models.BPE(vocabulary, merges))
    save_tokenizer(tmp_path, PreTrainedTokenizerFast(tokenizer_object=backend), 8)
    saved = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert saved["model"]["merges"] == [list(merge) for merge in merges]
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path)("a a")["input_ids"] == [3]
