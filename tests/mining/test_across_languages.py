"""A search in one language finds texts of another, with an encoder that gives translations the same
embeddings."""

import shutil

import pytest
import torch
from mine_inputs import table, write_texts
from tiny_models import bert_tokenizer
from transformers import BertModel

TRANSLATIONS = {"the": "b", "cat": "c", "dog": "d", "sits": "e", "runs": "f", "house": "h"}
CORPUS = ["the cat sits", "the dog runs", "the cat runs", "the house", "dog sits the cat"]


def translated(text: str) -> str:
    return " ".join(TRANSLATIONS[word] for word in text.split())


@pytest.fixture
def bilingual(tmp_path, tiny_folder):
    """The tiny encoder, in which a word and its translation have one embedding."""
    folder = shutil.copytree(tiny_folder, tmp_path / "bilingual")
    encoder, pieces = BertModel.from_pretrained(folder), bert_tokenizer().get_vocab()
    with torch.no_grad():
        for word, translation in TRANSLATIONS.items():
            table = encoder.embeddings.word_embeddings.weight
            table[pieces[translation]] = table[pieces[word]]
    encoder.save_pretrained(folder)
    return folder


def test_a_query_finds_its_translation_first(bilingual, tmp_path, mine_command):
    queries = [translated(text) for text in reversed(CORPUS)]
    corpus = write_texts(tmp_path / "en.txt", CORPUS)
    argv = ["--corpus.path", corpus, "--queries.path", write_texts(tmp_path / "de.txt", queries)]
    output = tmp_path / "found.tsv"
    mine_command("neighbours", *argv, "--k", 1, "--model", bilingual, "--output", output)
    found = table(output)
    assert [row["text_query"] for row in found] == queries
    assert [row["text"] for row in found] == CORPUS[::-1]
    assert all(float(row["score"]) > 0.999 for row in found)
