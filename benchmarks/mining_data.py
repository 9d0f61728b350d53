"""The texts and vectors of the benchmarks of mining."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

EMBEDDINGS = Path("build/mining.npy")
MODEL = "models/all-MiniLM-L6-v2"
WIDTH = 384  # H


def read_sentences(count: int) -> list[str]:
    """`count` distinct sentences, English ones first."""
    from sbert.data.collection import read_collection
    from sbert.data.config import CollectionConfig

    sources = [CollectionConfig("tatoeba_pool_en"), CollectionConfig("wikipedia_pool_en")]
    for language in ("de", "es", "fr"):
        split = f"en-{language}"
        sources.append(CollectionConfig("tatoeba_parallel", split, "target_sentence"))
    distinct: dict[str, None] = {}
    for source in sources:
        distinct |= dict.fromkeys(read_collection(source).texts)
        if len(distinct) >= count:
            break
    return list(distinct)[:count]


def load_vectors(count: int, model: str = MODEL) -> np.ndarray:
    """The embeddings (N, H) of `count` sentences; made where the file has fewer."""
    file = EMBEDDINGS
    if model != MODEL:
        file = file.with_stem(f"mining-{Path(model).name}")
    if not file.exists() or len(np.load(file, mmap_mode="r")) < count:
        from sbert import BiEncoder
        from sbert.device import default_device

        file.parent.mkdir(exist_ok=True)
        encoder = BiEncoder.from_pretrained(model).to(default_device())
        np.save(file, encoder.encode(read_sentences(count), progress=None))
    return np.array(np.load(file, mmap_mode="r")[:count])


def make_vectors(kind: str, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A corpus (N, H) of `size` vectors of some kind, and `count` queries (Q, H)."""
    if kind == "sentences":
        corpus = load_vectors(size)
        return corpus, corpus[:count]
    g = np.random.default_rng(0)
    if kind.startswith("clusters-"):
        noise = float(kind.removeprefix("clusters-"))
        centres = g.standard_normal((100, WIDTH))
        corpus, queries = (
            centres[g.integers(len(centres), size=n)] + noise * g.standard_normal((n, WIDTH))
            for n in (size, count)
        )
    elif kind.startswith("centre-"):
        noise = float(kind.removeprefix("centre-"))
        centre = g.standard_normal(WIDTH)
        corpus, queries = (centre + noise * g.standard_normal((n, WIDTH)) for n in (size, count))
    elif kind in ("duplicates", "equal"):
        corpus, queries = (g.standard_normal((n, WIDTH)) for n in (size, count))
        corpus[: size if kind == "equal" else 2 * size // 3] = corpus[0]
        queries[::2] = corpus[0] + 0.3 * queries[::2]
    else:
        raise SystemExit(
            f"--data {kind}: known are sentences, clusters-S, centre-S, duplicates, equal"
        )
    return corpus.astype(np.float32), queries.astype(np.float32)


def read_questions(count: int, size: int) -> tuple[list[str], list[str], list[str]]:
    """`count` queries and their positives, of the Quora duplicates; and a corpus of `size` texts
    that holds the positives."""
    from sbert.data.config import DatasetConfig
    from sbert.data.rows import read_dataset

    queries, positives = read_dataset(DatasetConfig("quora_pairs", "eval")).texts
    queries, positives = queries[:count], positives[:count]
    corpus = list(dict.fromkeys(positives + read_sentences(size)))[:size]
    return queries, positives, corpus


def embed_texts(texts: list[str]) -> Callable[[Iterable[str]], np.ndarray]:
    """What finds the embeddings (N, H) of some of these texts, which are made here or read from a
    file, so that both systems spend the same short time on them."""
    from sbert import BiEncoder

    path = EMBEDDINGS.with_name(f"negatives-{len(texts)}.npy")
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.save(path, BiEncoder.from_pretrained(MODEL).encode(texts))
    vectors = np.load(path)
    row = {text: i for i, text in enumerate(texts)}
    return lambda wanted: vectors[[row[text] for text in wanted]]
