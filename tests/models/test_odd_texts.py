"""Unicode that is valid but rare: read as the tokenizer itself reads it, alone and in a batch."""

import numpy as np
import pytest
from families import FAMILIES, write_encoder
from transformers import AutoTokenizer

from sbert import BiEncoder, CrossEncoder

ODD = {
    "NUL": "a\0b \0",
    "byte order mark": "\ufeffthe cat",
    "zero-width": "c\u200ba\u200dt\u2060 \u00ad",
    "joined emoji": "a 👩‍👩‍👧‍👦 and 🏳️‍🌈 sit",
    "combining marks": "e\u0301" + "\u0302" * 50 + " Z\u0351\u036b\u0343a\u0328lgo",
    "right to left": "שלום עולם \u202eevil\u202c مرحبا",
    "controls": "a\u0007\u001b[31m\u2028b\u2029\r\n\x0b",
    "private and unassigned": "\ue000 \uffff \U0010ffff \U000e0041",
    "a word of 100,000 letters": "x" * 100_000,
    "only spaces": " \t\u00a0\u3000",
}


@pytest.fixture(scope="module", params=["BERT", "XLM-R", "Qwen2"])
def folder(request, tmp_path_factory):
    family = next(family for family in FAMILIES if family.name == request.param)
    return write_encoder(family, tmp_path_factory.mktemp("odd"))


@pytest.mark.filterwarnings("ignore:.*are cut at max_length")
def test_odd_texts_are_read_as_the_tokenizer_reads_them(folder):
    model, texts = BiEncoder.from_pretrained(folder), list(ODD.values())
    table = model.text_tokenizer.tokenize(texts)
    own = AutoTokenizer.from_pretrained(folder)(texts, truncation=True, max_length=64)["input_ids"]
    assert np.split(table.ids, table.starts[1:-1])[-1].tolist() == own[-1]
    assert table.ids.tolist() == np.concatenate(own).astype(int).tolist()
    together = model.encode(texts, precision="fp32")
    assert np.isfinite(together).all()
    alone = np.concatenate([model.encode([text], precision="fp32") for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*are cut at max_length")
def test_odd_pairs_are_scored(folder):
    model = CrossEncoder.from_pretrained(folder)
    pairs = [(text, "a cat") for text in ODD.values() if text.strip()]
    scores = model.predict(pairs, precision="fp32")
    alone = np.concatenate([model.predict([pair], precision="fp32") for pair in pairs])
    np.testing.assert_allclose(scores, alone, atol=1e-5)
