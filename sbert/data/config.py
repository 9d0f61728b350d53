"""The options of a dataset and of a text collection."""

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["sts", "binary", "nli", "pair", "triplet", "rerank", "retrieval"]


@dataclass
class DatasetConfig:
    """One dataset: where its rows are and what its columns mean.

    Args:
        path: a name such as stsb for <data folder>/stsb/<split>.tsv.gz; a file; hf:<name>[:<config>]; or, for retrieval, a
            folder or the name of one below the data folder, with a corpus, queries and qrels.
        split: train, dev, test and so on; names and hf: need one, files do not.
        task: sts (two texts and a score), binary (two texts, 0 or 1), nli (two texts and a class), pair (anchor or query, and
            its positive), triplet (the same and one negative or more), rerank (query, document, relevance: a row for each
            candidate of a query), retrieval (known by the folder's corpus; to evaluate on, not to train on).
        texts: the text columns by name, in the order in which the loss reads them; goes with task. Of a triplet, negatives
            after the first may be empty, and a column of JSONL may hold a list of texts.
        label: the column of the score, class or relevance; of a triplet, for a loss that reads them, of a teacher's margins,
            score(positive) - score(negative): a number, or in JSONL a list with one for each negative.
        range: the lowest and the highest score possible in the file, scaled to 0 and 1.
        classes: the labels of the file in the order of their numbers 0 to K-1.
        source: the column that says which part of the dataset a row comes from.
        where: use only rows whose columns hold these values, for example {SemEval_set: TEST}.
        limit: use so many rows (a whole number) or this share of them (below 1); a larger limit contains a smaller one. Of
            retrieval: queries; the corpus stays whole.
        limit_seed: the seed of that choice.
        beyond: leave out the rows that this limit would use, so that a dev set can be cut from the file of the training set.
        folds: cut the file into so many parts of about equal size, for cross-validation; limit_seed draws the cut, and limit
            and beyond choose from the whole file.
        fold: which of them this dataset is about: 1 to folds.
        part: rest (train on it) are the rows outside that fold, fold (test on it) those inside.
        group: rows of one value in this column stay in one fold; row: the row's number in the file, which files with the same
            rows share, such as translations.
        teacher: of silver data: the folder, or the fingerprint, of the cross-encoder whose labels these must be, as the column
            teacher says; a file of another one's is refused.
        weight: this dataset's share of an epoch relative to the others; all datasets have one or none has.
        skip_empty: skip and count a row with an empty text; otherwise it stops the reading.
        format: the reader, where the ending of the file does not tell it.
        name: how tables call it.
    """

    path: str
    split: str | None = None
    task: TaskName | None = None
    texts: list[str] | None = None
    label: str | None = None
    range: tuple[float, float] | None = None
    classes: list[str] | None = None
    source: str | None = None
    where: dict[str, str] | None = None
    limit: int | float | None = None
    limit_seed: int = 0
    beyond: int | float | None = None
    folds: int | None = None
    fold: int | None = None
    part: Literal["rest", "fold"] = "rest"
    group: str | None = None
    teacher: str | None = None
    weight: float | None = None
    skip_empty: bool = False
    format: Literal["tsv", "csv", "jsonl", "txt", "stsbenchmark", "stsb-multi-mt"] | None = None
    name: str | None = None


@dataclass
class Source:
    """Where texts, or their embeddings, come from.

    Args:
        path: a text file with a text a line; TSV, CSV or JSONL; each plain or .gz; a name such as tatoeba_pool_en in the data
            folder; or .npy with embeddings (N, H), and no texts.
        split: of a name with several files, for example corpus of scifact.
        column: the column of the text.
        id: the column of its identifier; null: id where there is one, else the number of the line (of .npy: of the row from 0).
        limit: only the first so many.
        embeddings: a .npy file: read if it is there, otherwise made and kept for the next time.
    """

    path: str
    split: str | None = None
    column: str = "text"
    id: str | None = None
    limit: int | None = None
    embeddings: str | None = None
