"""Training data as published by FlagEmbedding and Tevatron: JSONL, recognised by its keys.

A line has a query, a list of positives and a list of negatives:

    FlagEmbedding   query, pos, neg; pos_scores, neg_scores of a teacher; prompt
    Tevatron        query, positive_passages, negative_passages: docid, title, text, score of each

Passages become texts, title and text joined by a space. A teacher's scores become a further column:
for each positive, a list of its score and those of the negatives. A key with another meaning than
these is refused; those that say nothing about the texts are listed as `ignored`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from sbert.data.config import DatasetConfig
from sbert.data.readers import Line
from sbert.data.schema import SCORES_COLUMN, check_columns, check_text, join_texts
from sbert.errors import InputError, require


@dataclass(frozen=True)
class Layout:
    """The lines of one publisher.

    Attributes:
        keys: those that are read; the first two, if they are there, show the layout.
        ignored: those that change nothing here.
        convert: a line, its location -> its changed columns.
    """

    keys: list[str]
    ignored: list[str]
    convert: Callable[[dict, str], dict]


def adapt_lines(
    lines: Iterator[Line], config: DatasetConfig, file: str
) -> tuple[Iterator[Line], str]:
    """The lines of a dataset, adapted if they are a known publisher's, and the prompt of queries.

    The prompt of the lines is put before each query as it is, unless the dataset names prompts of
    the model.

    Raises:
        InputError: an unknown key, prompts that differ, passages or scores that cannot be used.
    """
    first = next(lines, None)
    if first is None:
        return lines, ""
    lines = chain([first], lines)
    known = [layout for layout in LAYOUTS if set(layout.keys[:2]) <= first[1].keys()]
    if config.texts or not known:  # declared columns are read as they are
        return lines, ""
    prompt = first[1].get("prompt") or ""
    adapted = _adapt(lines, known[0], config, file, prompt)
    return adapted, prompt if config.prompts is None else ""


def _adapt(
    lines: Iterable[Line], layout: Layout, config: DatasetConfig, file: str, prompt: str
) -> Iterator[Line]:
    known = {*layout.keys, *layout.ignored, "source"}
    known.update([config.source, config.group, config.label, *(config.where or {})])
    scored = None  # whether the first line has scores
    for number, line in lines:
        location = f"{file}, line {number}"
        _check_keys(line, known, layout, location)
        line = line | layout.convert(line, location)
        has_scores = SCORES_COLUMN in line
        scored = has_scores if scored is None else scored
        require(
            has_scores == scored,
            f"{location}: has {'' if has_scores else 'no '}scores of a teacher, unlike the first "
            "line; split the file",
        )
        if config.prompts is None:
            line["query"] = _with_prompt(line, prompt, location)
        yield number, line


def _check_keys(line: dict, known: set[str | None], layout: Layout, location: str) -> None:
    for key in line:
        require(
            key in known,
            f"{location}: unknown key '{key}'; known: {', '.join(layout.keys)}; to read the file "
            "all the same, set task and texts",
        )
    check_columns(["query"], line, location)
    check_text("query", line["query"], location)


def _with_prompt(line: dict, prompt: str, location: str) -> str:
    """The query with the prompt before it, which is that of the first line; an empty one stays."""
    own, query = line.get("prompt") or "", line["query"]
    require(
        own == prompt,
        f"{location}: the prompt is {own!r}, that of the first line {prompt!r}; split the file by "
        "prompts",
    )
    return prompt + query if query.strip() else query


def _convert_flag_embedding(line: dict, location: str) -> dict:
    positive_scores, negative_scores = line.get("pos_scores"), line.get("neg_scores")
    if positive_scores is None and negative_scores is None:
        return {}
    for texts, scores in ("pos", "pos_scores"), ("neg", "neg_scores"):
        values = line.get(scores)
        count = len(line.get(texts) or [])
        require(
            isinstance(values, list) and len(values) == count,
            f"{location}: {scores} is {values}, and {texts} has {count} texts; a list with a score "
            "for each is needed",
        )
    return {SCORES_COLUMN: _teacher_scores(positive_scores, negative_scores)}


def _convert_tevatron(line: dict, location: str) -> dict:
    converted, scores = {}, []
    for column in ("positive_passages", "negative_passages"):
        passages = line.get(column)
        if passages is None:
            continue
        require(
            isinstance(passages, list) and all(isinstance(one, dict) for one in passages),
            f"{location}: {column} is not a list of objects with docid, title and text",
        )
        converted[column] = [_passage_text(passage, column, location) for passage in passages]
        scores.append([passage.get("score") for passage in passages])
    if len(scores) == 2 and None not in chain(*scores):
        converted[SCORES_COLUMN] = _teacher_scores(*scores)
    return converted


def _passage_text(passage: dict, column: str, location: str) -> str:
    for key in passage:
        if key not in ("docid", "title", "text", "score"):
            raise InputError(
                f"{location}: unknown key '{key}' in {column}; known: docid, title, text, score"
            )
    check_columns(["text"], passage, f"{location}, {column}")
    return join_texts(passage, ["title", "text"], f"{location}, {column}")


def _teacher_scores(positives: list, negatives: list) -> list[list]:
    return [[positive, *negatives] for positive in positives]


LAYOUTS = [
    Layout(
        ["query", "pos", "neg", "pos_scores", "neg_scores", "prompt"],
        ["id", "pos_id", "neg_id", "type"],
        _convert_flag_embedding,
    ),
    Layout(
        ["query", "positive_passages", "negative_passages"],
        ["query_id", "answers"],
        _convert_tevatron,
    ),
]
