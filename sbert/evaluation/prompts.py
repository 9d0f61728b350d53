"""The prompts of a dataset: those that it names, or those of its task, as texts of a model."""

from collections.abc import Mapping, Sequence

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import require
from sbert.evaluation.report import NO_PROMPT, Prompt
from sbert.models.bi_encoder import BiEncoder
from sbert.models.encoder import Encoder
from sbert.models.tokens import tokenize_columns


def column_prompts(rows: Rows | Retrieval, model: Encoder) -> list[Prompt]:
    """The prompt of each of the C columns of texts; for retrieval, of queries and documents.

    Where the dataset names none, re-ranking and retrieval use the model's query and document
    prompts, and other tasks its default prompt, if it has one.

    Raises:
        InputError: a name that the model does not know, a prompt that leaves no room for a text,
            any name for a cross-encoder.
    """
    if not isinstance(model, BiEncoder):
        require(
            rows.prompts is None,
            f"dataset {rows.name}: prompts are for a bi-encoder, and this model is a cross-encoder",
        )
        return [NO_PROMPT] * len(rows.texts)
    if rows.prompts is not None:
        prompts = [_named_prompt(name, model, rows.name) for name in rows.prompts]
    elif rows.task in ("rerank", "retrieval"):
        prompts = [_prompt_of(text, model) for text in (model.query_prompt, model.document_prompt)]
    else:
        prompts = [_prompt_of(model.find_prompt(), model)] * len(rows.texts)
    for prompt in prompts:
        model.text_tokenizer.prompt_length(prompt.text)  # refuses one that is too long
    return prompts


def _named_prompt(name: str, model: BiEncoder, dataset: str) -> Prompt:
    """The prompt of a name; none for the empty name."""
    if not name:
        return NO_PROMPT
    known = ", ".join(model.prompts) or "none"
    require(
        name in model.prompts,
        f"dataset {dataset}: prompts: the model has no prompt '{name}'; known: {known}",
    )
    return Prompt(name, model.prompts[name])


def _prompt_of(text: str, model: BiEncoder) -> Prompt:
    """The prompt with a text."""
    names = [name for name, known in model.prompts.items() if known == text]
    return Prompt(names[0], text) if text else NO_PROMPT


def describe_prompts(prompts: Sequence[Prompt]) -> str:
    """The prompts of C columns by name, once where they are the same, "none" for an empty one."""
    names = [prompt.name if prompt.text else NO_PROMPT.name for prompt in prompts]
    return ", ".join(names if len(set(names)) > 1 else names[:1])


def format_prompts(prompts: Mapping[str, str]) -> str:
    """Names and texts of prompts on one line."""
    return ", ".join(f"{name} {text!r}" for name, text in prompts.items())


def describe_cut(rows: Rows | Retrieval, model: Encoder, prompts: Sequence[Prompt]) -> str | None:
    """What the model's max_length cuts from the texts of a dataset, prompts included, or None."""
    columns: Sequence[Sequence[str | None]] = rows.texts
    if isinstance(rows, Retrieval):  # one text a row
        without_query, without_document = [None] * len(rows.corpus), [None] * len(rows.queries)
        columns = [[*rows.queries, *without_query], [*without_document, *rows.corpus]]
    tokenizer = model.text_tokenizer
    texts = [prompt.text for prompt in prompts]
    return tokenizer.describe_cut(*tokenize_columns(tokenizer, columns, texts))


def unused_prompts_note(names: Sequence[str], model: Encoder) -> str | None:
    """A note on datasets, given by name, that use no prompt although the model declares some."""
    if not names or not isinstance(model, BiEncoder) or not model.declares_prompts:
        return None
    known = ", ".join(name for name, text in model.prompts.items() if text)
    return (
        f"{', '.join(names)}: no prompt is used, and the model declares {known}; choose one by "
        "prompts of the dataset, or by default_prompt_name"
    )
