"""Nearest neighbours in quantised vectors, approximately.

1. A first pass over all vectors finds `rescore` times k candidates for each query, by products of
   the query's int8 numbers and the codes (first_pass.py).
2. The candidates are scored again: by their float vectors where these are kept, of which only the
   candidates' rows are read, otherwise by the decoded codes and the query as it is.

A neighbour that the first pass ranks below `rescore` times k is lost, so that the result is never
called exact.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from tqdm.auto import tqdm

from sbert.device import full_precision_products, with_fp64
from sbert.errors import require
from sbert.mining.quantised.first_pass import FirstPass
from sbert.mining.search.best_so_far import best_of
from sbert.mining.search.exact import Vectors, VectorSet, blocks_of, exact_pair_scores
from sbert.mining.search.queries import Exclude, check_search, exclusion_matrix
from sbert.mining.search.sizes import sizes_for
from sbert.quantised import check_finite
from sbert.quantised_files import QuantisedVectors

QUERIES = 16_384  # that are searched for at a time
CANDIDATES = 16_384  # that are scored again at a time

CHECKED = 256  # vectors by which the float vectors are recognised
SAME = 0.99  # of the codes of each: another processor may round differently


class QuantisedCorpus:
    """What is searched; `top_k` is that of `Corpus`, but approximate.

    Args:
        vectors: N quantised vectors.
        similarity: that for which they were quantised.
        rescore: the first pass keeps this many candidates for each neighbour.
        floats: (N, H), the vectors before they were quantised, memory-mapped; None: not kept.
        floats_name: what errors and `method` call them.

    Raises:
        InputError: another similarity; float vectors that are not those of the codes.
    """

    def __init__(
        self,
        vectors: QuantisedVectors,
        similarity: str = "cosine",
        rescore: int = 4,
        floats: Vectors | None = None,
        floats_name: str = "float vectors",
        device: torch.device | str = "cpu",
    ):
        require(rescore >= 1, f"rescore is {rescore}; it must be 1 or more")
        made_for = vectors.quantiser.similarity
        require(
            similarity == made_for,
            f"{vectors.name}: was quantised for the similarity {made_for}, not for {similarity}",
        )
        self.vectors = vectors
        self.similarity = similarity
        self.rescore = rescore
        self.floats = floats
        self.floats_name = floats_name
        self.device = with_fp64(device)
        if floats is not None:
            check_floats(vectors, floats, floats_name)

    @property
    def queries(self) -> Vectors | QuantisedVectors:
        """The vectors as queries for each other: as exact as they are kept."""
        return self.vectors if self.floats is None else self.floats

    @property
    def method(self) -> str:
        """How the result was found, as outputs say it."""
        store = self.vectors.quantiser.store
        if self.floats is None:
            return f"approximate, from {store} vectors alone"
        name = Path(self.floats_name).name
        return (
            f"approximate: {self.rescore} k candidates from {store} vectors, scored by the float "
            f"vectors of {name}"
        )

    @full_precision_products()
    def top_k(
        self, queries: Vectors, k: int, exclude: Exclude = None, progress: bool | None = False
    ) -> tuple[Tensor, Tensor]:
        """The k best for each query (Q, H): scores (Q, k) float32 and indices (Q, k), best first.

        Where fewer than k are left for a query, its row ends with score -inf and index -1. Scores
        by float vectors are those of the exact search. From int8 vectors alone they are those of
        the decoded vectors; from binary ones the inner products of q - m and the signs, scaled to
        length 1.
        """
        queries = check_search(queries, self.vectors, k)
        excluded = exclusion_matrix(exclude, len(queries), len(self.vectors))
        loaded = VectorSet(queries, self.similarity, self.device, "query")
        scores = torch.empty(len(queries), k)
        indices = torch.empty(len(queries), k, dtype=torch.int64)
        total = len(queries) * len(self.vectors)
        hide = None if progress is None else not progress
        with tqdm(total=total, unit="pairs", unit_scale=True, desc="search", disable=hide) as bar:
            for rows in blocks_of(len(queries), QUERIES):
                found = self._search(loaded.load(rows), k, excluded[rows], bar)
                scores[rows], indices[rows] = found
        return scores, indices

    def _search(
        self, queries: Tensor, k: int, excluded: sparse.csr_array, bar: tqdm
    ) -> tuple[Tensor, Tensor]:
        """The k best for some queries (R, H)."""
        quantiser = self.vectors.quantiser
        origin, step = (
            torch.from_numpy(numbers).to(self.device)
            for numbers in (quantiser.origin, quantiser.step)
        )
        centred = queries - origin
        first = FirstPass(self.vectors, centred * step, self.rescore * k, excluded)
        first.search(bar)
        if self.floats is None:
            scored = VectorSet(self.vectors, self.similarity, self.device, self.vectors.name)
            return rescored(centred, scored, first.best.indices, k)
        scored = VectorSet(self.floats, self.similarity, self.device, self.floats_name)
        return rescored(queries, scored, first.best.indices, k)


def rescored(
    queries: Tensor, vectors: VectorSet, candidates: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k best of candidates (R, C) for queries (R, H) by their exact scores, on the CPU.

    Only the candidates are read of the vectors.
    """
    sizes = sizes_for(queries.device, queries.shape[1])
    scores = torch.full(candidates.shape, -torch.inf, device=queries.device)
    for part in blocks_of(len(queries), max(1, CANDIDATES // candidates.shape[1])):
        row, place = (candidates[part] >= 0).nonzero(as_tuple=True)
        numbers, column = candidates[part][row, place].unique(return_inverse=True)
        rows = vectors.load(numbers.cpu().numpy())
        scores[part][row, place] = exact_pair_scores(queries[part], row, rows, column, sizes)
    scores, indices = best_of(scores, candidates, k)
    return scores.cpu(), indices.cpu()


def check_floats(vectors: QuantisedVectors, floats: Vectors, name: str) -> None:
    """Refuse float vectors that are not those that were quantised: some rows are compared."""
    require(
        floats.shape == vectors.shape,
        f"{name}: has shape {tuple(floats.shape)} and does not fit {vectors.name}, which was made "
        f"of {vectors.shape}",
    )
    rows = np.linspace(0, len(floats) - 1, min(len(floats), CHECKED)).astype(int)
    sample = np.asarray(floats[rows])
    check_finite(sample, rows, name)
    same = (vectors.quantiser.encode(sample) == vectors.codes[rows]).mean(axis=1)
    require(
        (same >= SAME).all(),
        f"{name}: row {rows[same.argmin()]} (from 0) is not the vector that {vectors.name} was "
        "made of",
    )
