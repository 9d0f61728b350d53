"""The section of a model card that shows how the model is used, with two libraries."""

from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder

FOLDER = "path/to/this/folder"
_TEXTS = '["A man is eating food.", "Someone has lunch."]'
_PAIRS = '[("A man is eating food.", "Someone has lunch.")]'
_QUERIES, _DOCUMENTS = '["What is a spider?"]', '["A spider has eight legs."]'


def describe_usage(model: BiEncoder | CrossEncoder) -> str:
    """Two examples, which compute the same."""
    here, there = _pair_lines(model) if isinstance(model, CrossEncoder) else _text_lines(model)
    name = type(model).__name__
    other = "CrossEncoder" if name == "CrossEncoder" else "SentenceTransformer"
    parts = [
        "## Usage",
        _block(f"from sbert import {name}", f'{name}.from_pretrained("{FOLDER}")', here),
        "With sentence-transformers:",
        _block(f"from sentence_transformers import {other}", f'{other}("{FOLDER}")', there),
    ]
    return "\n\n".join(parts)


def _block(imported: str, made: str, lines: list[str]) -> str:
    return "\n".join(["```python", imported, "", f"model = {made}", *lines, "```"])


def _pair_lines(model: CrossEncoder) -> tuple[list[str], list[str]]:
    call = f"scores = model.predict({_PAIRS}"
    there = f"{call}, apply_softmax=True)" if model.activation == "softmax" else f"{call})"
    return [f"{call})"], [there]


def _text_lines(model: BiEncoder) -> tuple[list[str], list[str]]:
    """For a search where queries and documents have prompts of their own."""
    query, document = model.query_prompt, model.document_prompt
    if not document and (not query or model.default_prompt_name):
        lines = [
            f"embeddings = model.encode({_TEXTS})",
            "scores = model.similarity(embeddings, embeddings)",
        ]
        return lines, lines
    scores = "scores = model.similarity(queries, documents)"
    here = [
        f"queries = model.encode_query({_QUERIES})",
        f"documents = model.encode_document({_DOCUMENTS})",
        scores,
    ]
    # not encode_document, which knows the names of fewer prompts there
    there = [
        f"queries = model.encode({_QUERIES}, prompt={query!r})",
        f"documents = model.encode({_DOCUMENTS}, prompt={document!r})",
        scores,
    ]
    return here, there
