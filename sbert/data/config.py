"""The options of a dataset and of a text collection."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import NonNegativeInt

from sbert.data.readers import READERS

TaskName = Literal[
    "sts", "binary", "nli", "class", "text", "pair", "triplet", "rerank", "retrieval"
]

TextColumn = str | list[str]  # a column, or several that are joined into one text


@dataclass
class DatasetConfig:
    """One dataset: where its rows are and what their columns mean.

    A file with a usual header, such as sentence1, sentence2, score, needs only path and, for scores
    outside 0 to 1, range.

    Args:
        path: a file (.tsv, .csv, .jsonl or .json, .txt with one text per line, plain or .gz, or
            .parquet); a name such as stsb, which stands for <data folder>/stsb/<split>.tsv.gz;
            hf:<name>[:<config>] for a dataset of the Hugging Face hub; or, for retrieval, a folder
            with corpus, queries and qrels, or its name in the data folder. SBERT_DATA sets the data
            folder (default: data/); demo is built in.
        split: train, dev, test, ...; required for names and hub datasets; a file has none.
        task: what a row is. sts: two texts and a score. binary: two texts and 0 or 1. nli: two
            texts and a class. class: one text and a class. text: one text. pair: an anchor (or
            query) and its positive. triplet: an anchor, a positive and one or more negatives.
            rerank: a query, one candidate document and its relevance. retrieval: a folder of
            queries and a corpus, for evaluation only. By default recognised from the header or the
            folder.
        texts: the text columns, in the order in which the loss reads them; needs task. A list of
            columns, as in [query, [title, body]], is joined into one text by spaces, without its
            empty parts. In triplets, negatives after the first may be empty, and a JSONL column may
            hold a list of them. A JSONL column of the positives of pairs or triplets may hold a
            list too: each becomes a row.
        label: the column of the score, class or relevance. In triplets, for a loss that reads them:
            the column of a teacher's margins, score(positive) - score(negative), one number or, in
            JSONL, a list with one number for each negative; or a list of its scores of the positive
            and of each negative, of which the margins are computed.
        range: of sts and binary, the lowest and highest possible score, for example [0, 5]; scores
            are scaled from it to [0, 1]. Known for stsb, stsb_multi_mt, sts12 to sts16 and afs;
            otherwise [0, 1].
        classes: the class labels in the file, in the order of their numbers 0 to K-1. Default: for
            nli contradiction, entailment, neutral; for class the labels of the training data,
            sorted.
        source: the column that says which part of the dataset a row comes from; STS metrics then
            include means over the parts (default: the column source, if there is one).
        where: use only rows whose columns have these values, for example {SemEval_set: TEST}.
        limit: use this many rows (1 or more) or this share of them (below 1), chosen at random. A
            larger limit contains the rows of a smaller one. For retrieval: of the queries.
        limit_seed: the seed of limit, beyond and folds.
        beyond: leave out the rows that this limit would use, for example to cut a dev set from the
            training file: limit 0.9 for training, beyond 0.9 for dev.
        folds: split the file into this many folds of about equal size, for cross-validation. limit
            and beyond choose from the whole file.
        fold: which fold this dataset is about, 1 to folds.
        part: rest is all rows outside the fold, to train on; fold is the rows in it, to test on.
        group: rows with the same value in this column stay in one fold. row makes each row its own
            group, by its number in the file, so that translations, row by row, have the same folds.
        languages: the languages of the texts: one, or one for each text column. With {language} in
            path, as in stsb_multi_mt/{language}, one file is read for each; line by line they
            must be translations of each other, with the same labels. limit and folds keep the
            translations of a row together.
        crossing: with {language} in path, all adds rows with the first text in one language and
            the second in another, for every two languages in both orders; only uses these alone.
        teacher: for silver data, the cross-encoder (its folder or fingerprint) that must have
            labelled every row; the column teacher is checked.
        prompts: names of the model's prompts: one for all text columns, or one for each, such as
            [query, document]; of triplets the last one is also for the negatives that follow. An
            empty name is for no prompt. Default: the model's query and document prompts for
            retrieval and rerank, its default prompt, if it has one, for the other tasks.
        weight: the share of this dataset in an epoch, relative to the other training datasets; set
            it for all of them or for none.
        keep_identical_ids: for retrieval, whether a query may find the document with its own id. By
            default this document is left out of its ranking, as BEIR does.
        skip_empty: skip and count rows with an empty text, instead of stopping with an error.
        format: the file format, if the extension does not say it.
        name: the name in tables (default: path and split, such as stsb-dev).
    """

    path: str
    split: str | None = None
    task: TaskName | None = None
    texts: list[TextColumn] | None = None
    label: str | None = None
    range: tuple[float, float] | None = None
    classes: list[str] | None = None
    source: str | None = None
    where: dict[str, str | bool | int | float] | None = None
    limit: int | float | None = None
    limit_seed: NonNegativeInt = 0
    beyond: int | float | None = None
    folds: int | None = None
    fold: int | None = None
    part: Literal["rest", "fold"] = "rest"
    group: str | None = None
    languages: list[str] | None = None
    crossing: Literal["none", "all", "only"] = "none"
    teacher: str | None = None
    prompts: str | list[str] | None = None
    weight: float | None = None
    keep_identical_ids: bool = False
    skip_empty: bool = False
    format: Literal[tuple(READERS)] | None = None
    name: str | None = None


@dataclass
class CollectionConfig:
    """A collection of texts, or of their embeddings.

    Args:
        path: a text file (.txt) with one text per line; a table (.tsv, .csv, .jsonl or .json); each
            plain or .gz; a .parquet table; a name such as tatoeba_pool_en in the data folder
            (SBERT_DATA); or a .npy file of embeddings (N, H), or a .safetensors file of int8 or
            binary ones, where results then have no texts.
        split: the split of a name with several, for example corpus of scifact.
        column: the text column, or a list of columns, as [title, body], that are joined by spaces
            without the empty ones.
        id: the id column (default: id, if there is one; otherwise the line number, and for .npy the
            row number from 0).
        limit: use only this many texts, the first ones.
        embeddings: a .npy file for the embeddings of the texts: read if it exists, otherwise
            written; or the .safetensors file of int8 or binary ones.
        prompt: the name of the model's prompt that is put before each text; "": none. Default: the
            query prompt for queries, the document prompt for what they search, the default prompt,
            if there is one, elsewhere.
    """

    path: str
    split: str | None = None
    column: TextColumn = "text"
    id: str | None = None
    limit: int | None = None
    embeddings: str | None = None
    prompt: str | None = None
