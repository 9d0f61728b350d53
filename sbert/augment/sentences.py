"""What silver is made of: gold, the sentences that are paired, and what the teacher reads of them.

A teacher of another language reads their translations, in files that are aligned line by line
(`sbert.data.languages`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from sbert.augment.config import SilverConfig
from sbert.augment.pool import SentencePool
from sbert.data.config import DatasetConfig
from sbert.data.leakage import held_out_by, read_held_out
from sbert.data.origin import LANGUAGE
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, read_dataset
from sbert.data.table import in_rows
from sbert.errors import require
from sbert.mining.task import MiningTask
from sbert.texts import bare


def read_gold(task: MiningTask) -> Rows | None:
    """The rows of all gold datasets as one."""
    datasets = [read_dataset(dataset) for dataset in task.config.gold]
    if not datasets:
        return None
    for rows in datasets:
        task.print(rows.describe())
        check_gold_task(rows)
    texts = [list(chain.from_iterable(rows.texts[side] for rows in datasets)) for side in (0, 1)]
    return Rows("gold", "sts", texts, np.concatenate([rows.labels for rows in datasets]))


def check_gold_task(rows: Rows | Retrieval) -> None:
    """Refuse gold that is no scored pairs."""
    require(
        rows.task in ("sts", "binary"),
        f"gold {rows.name}: task {rows.task}; gold is of task sts or binary",
    )


def read_pool(task: MiningTask, gold: Rows | None) -> SentencePool:
    """The sentences of `texts`, of `unlabelled` or of gold, but for held-out ones. Gold pairs are
    known."""
    config = task.config
    source = config.texts
    known = zip(*gold.texts, strict=True) if gold else ()
    given = ()
    translations = read_translations(config)
    if source:
        require(
            not source.embeddings and not source.path.endswith(".npy"),
            "texts: silver needs texts and embeds the distinct ones itself; remove embeddings",
        )
        texts = task.read(source, embed=False)
        sentences, name = texts.texts, texts.name
    else:
        rows = _read_unlabelled(task) if config.unlabelled else gold
        sentences, name = _row_by_row(rows.texts, config.sides), rows.name
        given = zip(*rows.texts[:2], strict=True) if config.unlabelled else ()
    if config.held_out:
        name += ", without held-out texts"
    pool = SentencePool.from_texts(_without_held_out(task, sentences), known, given, name)
    if translations:
        pool = pool.with_translations(sentences, _row_by_row(translations, config.sides))
    labelled = f", labelled in {config.teacher_language}" if config.teacher_language else ""
    task.print(f"{len(pool):,} distinct sentences{labelled}")
    return pool


def _without_held_out(task: MiningTask, sentences: Sequence[str]) -> list[str]:
    """The distinct sentences but for those of held-out datasets, which are counted."""
    held_out = read_held_out(task.config.held_out)
    kept, left_out = [], Counter()
    for text in dict.fromkeys(sentences):
        dataset = held_out.get(bare(text))
        if dataset:
            left_out[dataset] += 1
        else:
            kept.append(text)
    for dataset, count in left_out.items():
        task.print(f"{count:,} sentences left out: texts of {dataset}")
    return kept


def matched_scores(task: MiningTask, gold: Rows) -> np.ndarray:
    """The scores (N,) of gold whose density strategy kde follows: those of pairs without a held-out
    text. The others are counted."""
    found = held_out_by(gold, read_held_out(task.config.held_out))
    scores = gold.labels[[name is None for name in found]]
    if len(scores) < len(gold):
        task.print(f"kde follows the scores of {len(scores):,} gold pairs without held-out texts")
    return scores


def _row_by_row(columns: list[list[str]], sides: str) -> list[str]:
    """The texts of both columns, or of one."""
    chosen = {"both": columns[:2], "first": columns[:1], "second": columns[1:2]}[sides]
    return list(chain.from_iterable(zip(*chosen, strict=True)))


def _read_unlabelled(task: MiningTask) -> Rows:
    rows = read_dataset(task.config.unlabelled, labels=False)
    task.print(rows.describe())
    name = f"unlabelled {rows.name}"
    require(rows.task != "retrieval", f"{name}: task retrieval; give its corpus as texts")
    require(
        len(rows.texts) > 1,
        f"{name}: one column of texts; pairs need two, and single texts are given as texts",
    )
    return rows


def in_language(dataset: DatasetConfig, language: str) -> DatasetConfig:
    """The translations of a dataset's rows.

    Raises:
        InputError: its path does not say where they are.
    """
    require(
        LANGUAGE in dataset.path,
        f"dataset {dataset.path}: where are its translations in {language}, which the teacher "
        f"reads? Write {LANGUAGE} in path, as in stsb_multi_mt/{LANGUAGE}, and list the languages "
        "of the dataset",
    )
    return replace(dataset, languages=[language], crossing="none")


def read_translations(config: SilverConfig) -> list[list[str]] | None:
    """The texts of the rows that are paired in the teacher's language: 2 columns of N texts.

    None without a teacher's language.

    Raises:
        InputError: the files do not align, or a row has no translation.
    """
    if not config.teacher_language:
        return None
    require(
        not config.texts,
        f"the teacher reads {config.teacher_language}, and texts have no translations; give pairs "
        f"as gold or unlabelled, with {LANGUAGE} in path",
    )
    datasets = [config.unlabelled] if config.unlabelled else config.gold
    labels = not config.unlabelled
    parts = [_translated_texts(one, config.teacher_language, labels) for one in datasets]
    return [list(chain.from_iterable(part[side] for part in parts)) for side in (0, 1)]


def _translated_texts(dataset: DatasetConfig, language: str, labels: bool) -> list[tuple[str, ...]]:
    """The texts of a dataset's rows in another language: C columns of N texts."""
    texts_of = _texts_by_line(dataset, language, labels)
    rows = read_dataset(dataset, labels)
    translations = []
    rows_before = Counter()  # of the same line and language
    for line, own in zip(rows.lines, rows.languages, strict=True):
        require(
            line in texts_of,
            f"{rows.files[0]}, line {line}: has no translation in {language}; remove the line",
        )
        translations.append(texts_of[line][rows_before[line, own]])
        rows_before[line, own] += 1
    return list(zip(*translations, strict=True))


def _texts_by_line(
    dataset: DatasetConfig, language: str, labels: bool
) -> dict[int, list[tuple[str, ...]]]:
    """The texts in a language of the rows that each line of a dataset makes."""
    translated = in_language(dataset, language)
    # all lines of all languages: their alignment is checked, and limit may choose any of them
    every_row = {"limit": None, "beyond": None}
    every_row |= {"folds": None, "fold": None, "group": None, "part": "rest"}
    languages = list(dict.fromkeys([*dataset.languages, language]))
    rows = read_dataset(replace(translated, languages=languages, **every_row), labels)
    texts_of = defaultdict(list)
    for line, own, *texts in zip(rows.lines, rows.languages, *rows.texts, strict=True):
        if own == in_rows(language):
            texts_of[line].append(tuple(texts))
    return texts_of
