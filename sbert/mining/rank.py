"""The task `mine.py rank`: texts ranked for one query by a cross-encoder, best first."""

from sbert.data.collection import read_collection
from sbert.device import default_device
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.config import RankConfig
from sbert.models.loading import load_scorer


def rank_documents(config: RankConfig) -> None:
    """`mine.py rank`: print the best documents as a table."""
    require(
        config.documents.prompt is None,
        "documents.prompt: a cross-encoder takes no prompts; leave it out",
    )
    require(
        config.documents.embeddings is None,
        "documents.embeddings: a cross-encoder reads texts; leave it out",
    )
    documents = read_collection(config.documents).texts
    require(documents, f"{config.documents.path}: has embeddings; a cross-encoder reads texts")
    model = load_scorer(config.model, "model").to(default_device())
    best = model.rank(config.query, documents, config.top_k, config.precision)
    rows = [[rank, f"{score:.3f}", documents[i]] for rank, (i, score) in enumerate(best, start=1)]
    print(f"the best {len(rows)} of {len(documents):,} candidates for: {config.query}\n")
    print(markdown_table(["rank", "score", "candidate"], rows))
