"""Which tokens are masked: how many, by what, which words; and that only seed and step decide."""

import numpy as np
import pytest
import torch
from families import FAMILIES, write_encoder
from tiny_models import WORDS, ids_of, mpnet_tokenizer, write_tiny

from sbert import BiEncoder, InputError
from sbert.losses import MaskedLanguageModelLoss
from sbert.training.objectives.masking import make_masking, uniform

BY_NAME = {family.name: family for family in FAMILIES}
LONG = "catwoman housecat dogs, mats and parkhouse. " * 3


def tables(model: BiEncoder, texts: list[str], prompt: str = ""):
    table = model.text_tokenizer.tokenize(texts, [prompt] * len(texts))
    return table, np.arange(len(texts))


def sentences(count: int, seed: int = 0) -> list[str]:
    """Of 1 to 30 words, each of which is one piece."""
    generator = np.random.default_rng(seed)
    words = [generator.choice(WORDS, 1 + i % 30) for i in range(count)]
    return [" ".join(row) for row in words]


@pytest.mark.parametrize(
    ("share", "tokens", "expected"),
    [
        (0.15, [1, 3, 4, 9, 10, 16, 17, 30], [1, 1, 1, 1, 2, 2, 3, 5]),
        (0.5, [1, 2, 3, 4], [1, 1, 2, 2]),
        (0.99, [1, 10], [1, 10]),
    ],
)
def test_the_number_of_masked_tokens(tiny, share, tokens, expected):
    """The share of a text's tokens, rounded, and at least one."""
    table, rows = tables(tiny, ["cat " * count for count in tokens])
    masking = make_masking(tiny, MaskedLanguageModelLoss(mask_share=share))
    for step in range(5):
        chosen = masking.choose(table, rows, (0, step))
        assert np.bincount(chosen.row, minlength=len(tokens)).tolist() == expected


def test_of_masked_tokens_80_10_10(tiny):
    """And every place and every token is as probable as the others."""
    table, rows = tables(tiny, ["cat " * 20] * 500)
    masking = make_masking(tiny, MaskedLanguageModelLoss())
    draws = [masking.choose(table, rows, (7, step)) for step in range(40)]
    shown, position = (
        np.concatenate([getattr(one, name) for one in draws]) for name in ("shown", "position")
    )
    count = len(shown)
    assert count == 40 * 500 * 3
    [cat] = ids_of(tiny.text_tokenizer.tokenize(["cat"]), 0)[1:-1]
    mask = tiny.tokenizer.mask_token_id
    shares = [(shown == mask).mean(), (shown == cat).mean()]
    # of the random ones some are the token itself
    own = 0.1 + 0.1 / masking.ordinary.sum()
    error = 4 * np.sqrt(0.25 / count)
    assert shares == pytest.approx([0.8, own], abs=error)
    assert set(shown) - {mask} == set(np.flatnonzero(masking.ordinary))
    places = np.bincount(position, minlength=21)[1:] / count
    assert places == pytest.approx(np.full(20, 1 / 20), abs=error)


def test_special_tokens_and_prompts_are_never_masked(tiny):
    texts = ["[CLS] the cat [SEP] ☃ a dog", "sits"]
    table, rows = tables(tiny, texts, prompt="a red house ")
    assert table.prompt_lengths.tolist() == [4, 4]
    masking = make_masking(tiny, MaskedLanguageModelLoss(mask_share=0.9))
    seen = set()
    for step in range(200):
        chosen = masking.choose(table, rows, (0, step))
        seen |= set(zip(chosen.row.tolist(), chosen.position.tolist(), strict=True))
    allowed = {(0, i + 4) for i, piece in enumerate("[ the cat [ [ a dog".split()) if piece != "["}
    assert seen == allowed | {(1, 4)}


@pytest.mark.parametrize(
    ("name", "mark", "continues"),
    [("BERT", "##", True), ("ALBERT", "▁", False), ("RoBERTa", "Ġ", False)],
)
def test_whole_words_stay_together(tmp_path, name, mark, continues):
    model = BiEncoder.from_pretrained(write_encoder(BY_NAME[name], tmp_path))
    table, rows = tables(model, [LONG, LONG.upper(), "cat", LONG])
    masking = make_masking(model, MaskedLanguageModelLoss(mask_share=0.3, whole_words=True))
    words = []  # of each text the word that each token is of, by the pieces themselves; 0: none
    for text in rows:
        ids = ids_of(table, text)
        pieces = model.tokenizer.convert_ids_to_tokens(ids)
        starts = [piece.startswith(mark) != continues for piece in pieces]
        words.append(np.where(masking.ordinary[ids], 1 + np.cumsum(starts), 0))
    several = 0
    for step in range(20):
        chosen = masking.choose(table, rows, (3, step))
        for text in rows:
            own = chosen.position[chosen.row == text]
            masked = words[text][own]
            for word in set(masked.tolist()):
                size = (words[text] == word).sum()
                assert (masked == word).sum() == size
                several += size > 1
            sizes = np.bincount(words[text])[1:]
            wanted = max(1, np.floor(0.3 * sizes.sum() + 0.5))
            # the last word in the order of choice may reach beyond
            assert wanted <= len(own) < wanted + sizes.max()
    assert several > 20


def test_only_seed_step_and_text_decide(tiny):
    """Not the other texts of a batch, their order, or their number."""
    table, rows = tables(tiny, sentences(60))
    masking = make_masking(tiny, MaskedLanguageModelLoss())
    whole = masking.choose(table, rows, (1, 5))
    for part in (rows[::3], rows[::-1], rows[[7]]):
        own = masking.choose(table, part, (1, 5))
        for i, text in enumerate(part):
            for values, expected in zip(own[1:], whole[1:], strict=True):
                assert values[own.row == i].tolist() == expected[whole.row == text].tolist()
    for draw in ((2, 5), (1, 6), (5, 1)):
        other = masking.choose(table, rows, draw)
        assert other.position.tolist() != whole.position.tolist()


def test_random_numbers_are_uniform_and_independent():
    """Those of neighbouring seeds, steps, texts and positions, too."""
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij")).reshape(3, -1)
    numbers = uniform(4, *grid)
    assert len(np.unique(numbers)) == 8000
    counts = np.bincount((numbers * 20).astype(int), minlength=20)
    assert np.abs(counts - 400).max() < 4.5 * np.sqrt(400)
    cube = numbers.reshape(20, 20, 20) - 0.5
    shifted = [(cube[1:] * cube[:-1]).mean(), (cube[:, 1:] * cube[:, :-1]).mean()]
    shifted += [(cube[..., 1:] * cube[..., :-1]).mean(), (cube * cube.transpose(2, 0, 1)).mean()]
    assert np.abs(shifted).max() < 4.5 / 12 / np.sqrt(7600)


@pytest.mark.parametrize("name", ["T5", "GPT-2", "Llama", "Qwen3"])
def test_a_model_that_does_not_predict_masked_tokens(tmp_path, name):
    model = BiEncoder.from_pretrained(write_encoder(BY_NAME[name], tmp_path))
    kind = model.transformer.config.model_type
    with pytest.raises(InputError, match=f"a model of type {kind} does not predict masked tokens"):
        make_masking(model, MaskedLanguageModelLoss())


def test_a_tokenizer_without_a_mask_token(tmp_path):
    folder = write_tiny(tmp_path)
    mpnet_tokenizer(model_max_length=64).save_pretrained(folder)
    with pytest.raises(InputError) as error:
        make_masking(BiEncoder.from_pretrained(folder), MaskedLanguageModelLoss())
    assert str(error.value) == (
        f"MaskedLanguageModelLoss: {folder}: the tokenizer has no mask token; declare mask_token "
        "in tokenizer_config.json"
    )


def test_pieces_that_do_not_say_where_words_start(tiny, monkeypatch):
    monkeypatch.setattr("sbert.training.objectives.masking.WordPiece", torch.Tensor)
    with pytest.raises(InputError, match="whole_words: the tokenizer's pieces do not say where"):
        make_masking(tiny, MaskedLanguageModelLoss(whole_words=True))
