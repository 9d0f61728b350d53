"""What trim_vocabulary.py refuses, in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
import trim_vocabulary
from families import write_classifier, write_encoder
from model_folders import dump, load
from support import fails
from tiny_models import write_tiny
from transformers import AutoTokenizer
from trim_inputs import (
    FAMILY,
    KEPT_WORDS,
    cut_rows,
    text_file,
    trim,
)

from sbert import BiEncoder, CrossEncoder, InputError


def refused(capsys, folder: Path, *options, **texts) -> str:
    line = fails(lambda: trim(folder, *options, **texts), capsys)
    assert not (folder.parent / "trimmed").exists()
    return line


def without_token(token: str):
    """Remove a token from a tokenizer.json, and leave the other ids as they are."""

    def break_it(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = load(path)
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != token]
        vocabulary = content["model"]["vocab"]
        if isinstance(vocabulary, list):
            content["model"]["vocab"] = [
                ["other", s] if p == token else [p, s] for p, s in vocabulary
            ]
        else:
            vocabulary["other"] = vocabulary.pop(token)
        dump(path, content)

    return break_it


LACKING = [
    ("XLM-R", "</s>"),
    ("XLM-R", "<unk>"),
    ("XLM-R", "<pad>"),
    ("XLM-R", "<mask>"),
    ("BERT", "[SEP]"),
    ("BERT", "[UNK]"),
    ("BERT", "[PAD]"),
    ("BERT", "[MASK]"),
    ("RoBERTa", "<s>"),
    ("RoBERTa", "<pad>"),
]


@pytest.mark.parametrize(("name", "token"), LACKING)
def test_a_missing_special_token(name, token, tmp_path, capsys):
    folder = write_encoder(FAMILY[name], tmp_path / "whole")
    without_token(token)(folder)
    said = f"{folder}: the tokenizer lacks the special token {token}"
    assert said in refused(capsys, folder)
    for kind in (BiEncoder, CrossEncoder):
        with pytest.raises(InputError, match=re.escape(said)):
            kind.from_pretrained(folder)


@pytest.mark.parametrize(("name", "token"), LACKING)
def test_a_special_token_missing_of_a_trimmed_model(name, token, tmp_path):
    folder = trim(write_classifier(FAMILY[name], tmp_path / "whole"))
    without_token(token)(folder)
    for kind in (BiEncoder, CrossEncoder):
        with pytest.raises(InputError, match=re.escape(f"lacks the special token {token}")):
            kind.from_pretrained(folder)


@pytest.mark.parametrize(("value", "name"), [(900, "eos_token_id"), ([3, 900], "eos_token_id[1]")])
def test_a_setting_that_names_no_token(value, name, tmp_path, capsys):
    folder = write_tiny(tmp_path / "whole")
    dump(folder / "config.json", load(folder / "config.json") | {"eos_token_id": value})
    line = refused(capsys, folder)
    assert line.endswith(
        f"{folder}: config.json: {name} is 900, and the tokenizer has no token of this id; "
        "set the id of one, or null"
    )


def test_rows_of_another_vocabulary(tmp_path, capsys):
    folder = write_tiny(tmp_path / "whole")
    cut_rows(folder, -1)
    count = len(AutoTokenizer.from_pretrained(folder))
    assert refused(capsys, folder).endswith(
        f"{folder}: the tokenizer has {count} tokens, and the model embeddings for {count - 1}; "
        "they are not of the same model"
    )


def test_ids_beyond_the_rows(tmp_path, capsys):
    """As many tokens as rows, but one id is not below them."""
    folder = write_tiny(tmp_path / "whole")
    content = load(folder / "tokenizer.json")
    content["model"]["vocab"]["dog"] = 200
    dump(folder / "tokenizer.json", content)
    line = refused(capsys, folder)
    assert "the tokenizer has ids up to 200, and the model" in line


def test_rows_beyond_the_tokenizer_are_dropped_and_counted(tmp_path, capsys):
    folder = write_tiny(tmp_path / "whole")
    whole = BiEncoder.from_pretrained(folder).encode(KEPT_WORDS)
    cut_rows(folder, 7)
    output = trim(folder, texts=KEPT_WORDS)
    assert "7 rows of the embeddings have no token" in capsys.readouterr().out
    trimmed = BiEncoder.from_pretrained(output)
    assert len(trimmed.transformer.get_input_embeddings().weight) == len(trimmed.tokenizer)
    np.testing.assert_array_equal(trimmed.encode(KEPT_WORDS), whole)


def test_held_out_texts_that_are_all_given(tmp_path, capsys):
    held = text_file(tmp_path / "held.txt", KEPT_WORDS[::-1])
    line = refused(capsys, write_tiny(tmp_path / "whole"), "--heldout", held, texts=KEPT_WORDS)
    assert line.endswith("heldout held: all 2 texts are among texts; name data that has others")


def test_other_bad_input(tmp_path, capsys, tiny_folder):
    empty = text_file(tmp_path / "empty.txt", ["", " "])
    file = text_file(tmp_path / "some.txt", ["the cat"])
    new = tmp_path / "new"

    def said(*words) -> str:
        return fails(lambda: trim_vocabulary.main([str(word) for word in words]), capsys)

    assert "two folders come first, to read and to write; given: one" in said(
        "one", "--texts", file
    )
    assert f"{tmp_path}: exists already" in said(tiny_folder, tmp_path, "--texts", file)
    below = said(tiny_folder, file / "new", "--texts", file)
    assert f"{file}: the folder cannot be made: File exists" in below
    assert f"{empty}: no rows to use" in said(tiny_folder, new, "--texts", empty)
    assert "texts" in said(tiny_folder, new)
    assert "min_count is 0; it must be > 0" in said(
        tiny_folder, new, "--texts", file, "--min_count", 0
    )
    assert "no prompt 'q'" in said(tiny_folder, new, "--texts", file, "--default_prompt_name", "q")
    scorer = write_classifier(FAMILY["BERT"], tmp_path / "scorer")
    assert "are for a bi-encoder" in said(scorer, new, "--texts", file, "--prompts", "{q: x}")
    labels = tmp_path / "nli.tsv"
    labels.write_text("premise\thypothesis\tlabel\na cat\tthe cat\tentailment\n", "utf-8")
    nli = f"{{path: {labels}, texts: [premise, hypothesis], label: label, task: nli}}"
    assert "NLI accuracy needs a model trained" in said(
        tiny_folder, new, "--texts", file, "--sts", nli
    )
    assert not new.exists()


def test_another_kind_of_tokenizer(tmp_path, capsys):
    folder = write_tiny(tmp_path / "whole")
    content = load(folder / "tokenizer.json")
    names = ("vocab", "unk_token")
    content["model"] = {"type": "WordLevel"} | {name: content["model"][name] for name in names}
    dump(folder / "tokenizer.json", content)
    assert refused(capsys, folder).endswith(
        f"{folder}: a tokenizer of type WordLevel is not supported; known: Unigram, BPE, WordPiece"
    )
