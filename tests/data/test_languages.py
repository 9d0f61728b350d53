"""Languages: aligned files read together, crossed rows, folds that keep translations together."""

import gzip
import json

import pytest
from data_inputs import refusal

from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_held_out, read_held_out
from sbert.data.rows import both_orders, read_dataset
from sbert.errors import InputError

SCORES = ["0", "0.5", "1", "0.25"]


@pytest.fixture
def aligned(tmp_path):
    """A function that writes one file for each language -> the path with {language}.

    The texts of row i are, in de, "de 1.i" and "de 2.i".
    """

    def write(scores=SCORES, **changed):
        for language in ("de", "en", "fr"):
            lines = ["sentence1\tsentence2\tscore"]
            for i, score in enumerate(changed.get(language, scores)):
                lines.append(f"{language} 1.{i}\t{language} 2.{i}\t{score}")
            (tmp_path / f"{language}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        return str(tmp_path / "{language}.tsv")

    return write


def read(path, languages=("de", "en"), **options):
    return read_dataset(DatasetConfig(path, languages=list(languages), **options))


def cells(rows):
    return list(zip(*rows.texts, rows.labels.tolist(), rows.languages, strict=True))


def test_without_crossing_the_rows_of_each_language(aligned):
    rows = read(aligned(["0", "1"]))
    assert cells(rows) == [
        ("de 1.0", "de 2.0", 0.0, "de"),
        ("en 1.0", "en 2.0", 0.0, "en"),
        ("de 1.1", "de 2.1", 1.0, "de"),
        ("en 1.1", "en 2.1", 1.0, "en"),
    ]
    assert rows.name == "de-en"


def test_crossing_adds_both_orders_of_the_languages(aligned):
    path = aligned(["0.5"])
    own = [("de 1.0", "de 2.0", 0.5, "de"), ("en 1.0", "en 2.0", 0.5, "en")]
    crossed = [("de 1.0", "en 2.0", 0.5, "de-en"), ("en 1.0", "de 2.0", 0.5, "en-de")]
    assert cells(read(path, crossing="all")) == own + crossed
    assert cells(read(path, crossing="only")) == crossed
    assert read(path, crossing="only").name == "de-en-crossed"


def test_three_languages_have_nine_blocks(aligned):
    rows = read(aligned(), ("de", "en", "fr"), crossing="all")
    blocks = {row: set() for row in range(4)}
    for text, language in zip(rows.texts[0], rows.languages, strict=True):
        blocks[int(text.split(".")[1])].add(language)
    expected = {"de", "en", "fr", "de-en", "en-de", "de-fr", "fr-de", "en-fr", "fr-en"}
    assert blocks == dict.fromkeys(range(4), expected)


def test_one_language_is_the_file_alone(aligned):
    path = aligned()
    assert cells(read(path, ["fr"])) == cells(read(path.replace("{language}", "fr"), ["fr"]))


def rows_of(rows):
    return {text.split(".")[1] for column in rows.texts for text in column}


def test_limit_counts_rows_of_every_language(aligned):
    rows = read(aligned(), crossing="all", limit=2)
    assert len(rows) == 8
    assert len(rows_of(rows)) == 2


@pytest.mark.parametrize("fold", [1, 2])
def test_the_translations_of_a_row_are_in_one_fold(aligned, fold):
    path, options = aligned(), {"crossing": "all", "folds": 2, "fold": fold, "group": "row"}
    rest, held_out = read(path, part="rest", **options), read(path, part="fold", **options)
    assert (len(rest), len(held_out)) == (8, 8)
    assert not rows_of(rest) & rows_of(held_out)
    check_held_out([rest], [held_out])
    # the folds of one language are those of all
    alone = read(path, ["en"], part="fold", folds=2, fold=fold, group="row")
    assert rows_of(alone) == rows_of(held_out)


def test_a_row_that_is_skipped_in_one_language_is_skipped_in_all(aligned):
    path = aligned()
    german = path.replace("{language}", "de")
    with open(german, encoding="utf-8") as file:
        text = file.read()
    with open(german, "w", encoding="utf-8") as file:
        file.write(text.replace("de 2.1", ""))
    rows = read(path, skip_empty=True, crossing="all")
    assert rows_of(rows) == {"0", "2", "3"}
    assert rows.skipped == {"empty sentence2": 1, "skipped in another language": 1}


def test_positives_that_are_skipped_in_one_language_are_skipped_in_all(tmp_path):
    """Of a line with a list, too: its others stay with their own translations."""
    positives = {"de": ["Hund", "", "Maus"], "en": ["dog", "cat", " "]}
    for language, texts in positives.items():
        line = json.dumps({"query": language, "pos": texts})
        (tmp_path / f"{language}.jsonl").write_text(line, "utf-8")
    rows = read(str(tmp_path / "{language}.jsonl"), skip_empty=True, crossing="only")
    assert rows.texts == [["de", "en"], ["dog", "Hund"]]
    assert rows.skipped == {"empty pos": 2, "skipped in another language": 2}


def test_both_orders_keep_the_languages(aligned):
    rows = both_orders(read(aligned(), crossing="only"))
    assert cells(rows)[0][:2] == cells(rows)[8][1::-1] == ("de 1.0", "en 2.0")
    assert rows.languages[0] == rows.languages[8]


def test_names_of_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    for language in ("de", "en"):
        folder = tmp_path / "sts" / language
        folder.mkdir(parents=True)
        with gzip.open(folder / "dev.tsv.gz", "wt", encoding="utf-8") as file:
            file.write(f"sentence1\tsentence2\tscore\n{language}\tb\t1\n")
    config = {"path": "sts/{language}", "split": "dev", "languages": ["de", "en"]}
    assert read_dataset(DatasetConfig(**config)).texts[0] == ["de", "en"]
    assert read_dataset(DatasetConfig(**config, crossing="all")).name == "sts-de-en-all-dev"
    message = refusal(**config | {"languages": ["de", "xx"]})
    assert "no file for the language 'xx'; there are files for de, en" in message


def test_evaluated_lines_of_any_of_the_files_are_held_out(aligned):
    path = aligned()
    trained = read(path)
    evaluated = read_dataset(DatasetConfig(path.replace("{language}", "en")))
    with pytest.raises(InputError, match=r"trains on, from line 2 of .*en\.tsv"):
        check_held_out([trained], [evaluated])


def test_languages_of_the_columns_of_one_file(put):
    lines = [["source_sentence", "target_sentence"], ["Hi.", "Hallo."]]
    assert read_dataset(DatasetConfig(put(lines), languages=["en", "de"])).languages == ["en-de"]
    assert read_dataset(DatasetConfig(put(lines), languages=["en"])).languages == ["en"]
    assert read_dataset(DatasetConfig(put(lines))).languages is None
    assert "give one, or one for each of the 2 text columns" in refusal(
        put(lines), languages=["en", "de", "fr"]
    )


# files and options that do not fit


def test_the_first_row_that_does_not_align_is_named(aligned):
    path = aligned(en=["0", "0.5", "0.75", "1"])
    message = refusal(path, languages=["de", "en"])
    assert "de.tsv, line 4 and " in message
    assert "en.tsv, line 4: the labels 1 and 0.75 differ" in message
    assert "translations of each other" in message


def test_labels_are_named_as_in_the_files_and_compared_as_numbers(aligned):
    path = aligned(["4", "1"], en=["4.0", "3"])
    message = refusal(path, languages=["de", "en"], range=[0, 5])
    assert "en.tsv, line 3: the labels 1 and 3 differ" in message


def test_texts_with_line_breaks(tmp_path):
    """The lines of a row have other numbers in the two files; all its forms are of one line."""
    head = "sentence1,sentence2,score\n"
    (tmp_path / "de.csv").write_text(f'{head}"a\nb",c,1\nd,e,0\n', "utf-8")
    (tmp_path / "en.csv").write_text(f"{head}A,C,1\nD,E,0\n", "utf-8")
    rows = read(str(tmp_path / "{language}.csv"), crossing="all")
    assert rows.texts[0] == ["a\nb", "A", "a\nb", "A", "d", "D", "d", "D"]
    assert rows.lines.tolist() == [3] * 4 + [4] * 4


def test_labels_that_are_not_read_must_align_too(aligned):
    path = aligned(en=["0", "0.75", "1", "0.25"])
    with pytest.raises(InputError, match="line 3: the labels 0.5 and 0.75 differ"):
        read_dataset(DatasetConfig(path, languages=["de", "en"]), labels=False)


def test_so_must_those_of_columns_that_are_declared(aligned):
    path = aligned(en=["0", "0.75", "1", "0.25"])
    declared = {"task": "sts", "texts": ["sentence1", "sentence2"]}
    config = DatasetConfig(path, languages=["de", "en"], **declared)
    with pytest.raises(InputError, match="line 3: the labels 0.5 and 0.75 differ"):
        read_held_out([config])


def write_grouped(folder, groups):
    for language, names in groups.items():
        rows = [f"{language} {i}\t{language} {i}\t1\t{name}" for i, name in enumerate(names)]
        text = "\n".join(["sentence1\tsentence2\tscore\ttopic", *rows])
        (folder / f"{language}.tsv").write_text(text, "utf-8")
    path = str(folder / "{language}.tsv")
    return DatasetConfig(path, languages=list(groups), group="topic", folds=2, fold=1)


def test_files_of_different_tasks_do_not_align(tmp_path):
    (tmp_path / "de.tsv").write_text("anchor\tpositive\tnegative\na\tb\tc\n", "utf-8")
    (tmp_path / "en.tsv").write_text("anchor\tpositive\na\tb\n", "utf-8")
    message = refusal(str(tmp_path / "{language}.tsv"), languages=["de", "en"])
    assert "en.tsv: the columns are of task triplet in the one and pair in the other;" in message


def test_lines_of_different_numbers_of_positives_do_not_align(tmp_path):
    for language, positives in (("de", '["a", "b"]'), ("en", '["a"]')):
        line = f'{{"query": "q", "pos": {positives}}}\n'
        (tmp_path / f"{language}.jsonl").write_text(line, "utf-8")
    message = refusal(str(tmp_path / "{language}.jsonl"), languages=["de", "en"])
    assert "en.jsonl, line 1: 2 and 1 rows; files read together must be" in message


def test_groups_may_be_translated(tmp_path):
    config = write_grouped(
        tmp_path, {"de": ["Hund", "Hund", "Maus"], "en": ["dog", "dog", "mouse"]}
    )
    assert len(read_dataset(config)) in (2, 4)


@pytest.mark.parametrize("english", [["dog", "cat", "mouse"], ["dog", "dog", "dog"]])
def test_groups_must_be_of_the_same_rows(tmp_path, english):
    config = write_grouped(tmp_path, {"de": ["Hund", "Hund", "Maus"], "en": english})
    with pytest.raises(InputError, match=r"line \d and .*, line \d: the topic '\w+' of .* is "):
        read_dataset(config)


def test_one_text_cannot_be_crossed(tmp_path):
    for language in ("de", "en"):
        (tmp_path / f"{language}.txt").write_text("one\ntwo\n", "utf-8")
    config = DatasetConfig(
        str(tmp_path / "{language}.txt"), languages=["de", "en"], task="text", crossing="all"
    )
    with pytest.raises(InputError, match="rows of task text have one text: set crossing: none"):
        read_dataset(config)


def test_a_code_with_a_hyphen(tmp_path):
    for language in ("pt-BR", "en"):
        text = f"sentence1\tsentence2\tscore\n{language} 1\t{language} 2\t1\n"
        (tmp_path / f"{language}.tsv").write_text(text, "utf-8")
    rows = read(str(tmp_path / "{language}.tsv"), ["pt-BR", "en"], crossing="all")
    assert rows.languages == ["pt_BR", "en", "pt_BR-en", "en-pt_BR"]
    assert rows.texts[0][0] == "pt-BR 1"


def test_a_row_that_is_missing_in_one_language_is_named(aligned):
    message = refusal(aligned(en=["0", "1", "0.25"]), languages=["de", "en"])
    assert "line 3: the labels 0.5 and 1 differ" in message
    message = refusal(aligned(en=SCORES[:3]), languages=["de", "en"])
    assert "4 and 3 rows; from line 5 of " in message
    assert "de.tsv there is no other" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "languages is []; list those that {language} stands for"),
        ({"languages": ["de", "de"]}, "languages is ['de', 'de']; list those"),
        ({"languages": ["de"], "crossing": "all"}, "crossing all needs two languages or more"),
    ],
)
def test_languages_that_do_not_fit_the_path(aligned, options, expected):
    assert expected in refusal(aligned(), **options)


def test_a_language_without_a_file_is_named(aligned, tmp_path, monkeypatch):
    path = aligned()
    message = refusal(path, languages=["de", "es"])
    assert message == (
        f"dataset {path}: there is no file for the language 'es'; there are files for de, en, fr"
    )
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    message = refusal("stsb_multi_mt/{language}", languages=["fr"], split="test")
    assert message.startswith("dataset stsb_multi_mt/fr: no such file, and no <split>.tsv.gz in ")


def test_crossing_needs_a_file_for_each_language(aligned):
    path = aligned().replace("{language}", "de")
    message = refusal(path, languages=["de", "en"], crossing="only")
    assert "crossing only needs a file for each language" in message


def test_folds_need_a_group(aligned):
    message = refusal(aligned(), languages=["de", "en"], folds=2, fold=1)
    assert "folds needs group" in message
