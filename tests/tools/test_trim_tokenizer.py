"""Which pieces stay and what becomes of a tokenizer.json, by hand."""

from trim_tokenizer import choose_ids, trim_content


def test_pieces_that_kept_ones_are_merged_from_stay():
    """abcd is merged from ab and cd, and these from characters; abc is not needed."""
    names = ["a", "b", "c", "d", "ab", "abc", "cd", "abcd"]
    merges = [["a", "b"], ["c", "d"], ["ab", "c"], ["ab", "cd"]]
    vocab = {name: i for i, name in enumerate(names)}
    content = {"model": {"type": "BPE", "vocab": vocab, "merges": merges}, "added_tokens": []}
    kept = choose_ids(content, [7], {})
    assert [names[i] for i in kept] == ["a", "b", "c", "d", "ab", "cd", "abcd"]
    trimmed = trim_content(content, kept)["model"]
    assert trimmed["merges"] == [["a", "b"], ["c", "d"], ["ab", "cd"]]
    assert trimmed["vocab"] == {
        n: i for i, n in enumerate(["a", "b", "c", "d", "ab", "cd", "abcd"])
    }
    joined = {"model": content["model"] | {"merges": [" ".join(merge) for merge in merges]}}
    assert choose_ids(content | joined, [7], {}) == kept


def test_the_lowest_score_and_the_unknown_piece_stay():
    """The score of an unknown character is the lowest one minus 10."""
    vocab = [["<unk>", 0.0], ["low", -9.0], ["mid", -5.0], ["x", -1.0], ["end", -2.0]]
    content = {"model": {"type": "Unigram", "vocab": vocab, "unk_id": 0}, "added_tokens": []}
    assert choose_ids(content, [4], {}) == [0, 1, 3, 4]
    moved = {"type": "Unigram", "vocab": vocab[::-1], "unk_id": 4}
    trimmed = trim_content(content | {"model": moved}, [1, 3, 4])["model"]
    assert trimmed == {"type": "Unigram", "vocab": [vocab[3], vocab[1], vocab[0]], "unk_id": 2}


def test_single_characters_and_bytes_stay():
    names = ["[UNK]", "a", "##b", "##bc", "bc", "<0x0A>", "猫"]
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    content = {"model": model | {"vocab": {n: i for i, n in enumerate(names)}}, "added_tokens": []}
    assert [names[i] for i in choose_ids(content, [], {})] == ["[UNK]", "a", "##b", "<0x0A>", "猫"]


def test_single_characters_at_the_start_of_a_word_stay():
    names = ["▁", "a", "▁a", "▁ab", "ab", "▁猫"]
    vocab = [[name, -float(i)] for i, name in enumerate(names)]
    content = {"model": {"type": "Unigram", "vocab": vocab}, "added_tokens": []}
    assert [names[i] for i in choose_ids(content, [], {})] == ["▁", "a", "▁a", "▁猫"]


def test_single_characters_of_several_bytes_stay():
    """In byte-level BPE Ġ is the byte of a space, Ã© are those of é, and çĮ two of the three of 猫;
    elsewhere they are letters."""
    characters = ["Ã", "©", "ç", "Į", "«", "Ġ", "a", "Ã©", "çĮ", "çĮ«", "Ġa", "ĠÃ", "ĠÃ©"]
    longer = ["aa", "Ã©a", "Ġaa"]
    merges = ["Ã ©", "ç Į", "çĮ «", "Ġ a", "Ġ Ã", "ĠÃ ©", "a a", "Ã© a", "Ġa a"]
    vocab = {name: i for i, name in enumerate(characters + longer)}
    content = {"model": {"type": "BPE", "vocab": vocab, "merges": merges}, "added_tokens": []}
    kept = choose_ids(content | {"decoder": {"type": "ByteLevel"}}, [], {})
    assert kept == list(range(len(characters)))
    assert choose_ids(content, [], {}) == list(range(characters.index("Ã©")))
