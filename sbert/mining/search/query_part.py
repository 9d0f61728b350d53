"""A part of the queries of a search in one block: its fast pass, and what else is given to it."""

from dataclasses import dataclass

from torch import Tensor

from sbert.mining.search.corpus_block import CorpusBlock, ExcludedPairs
from sbert.mining.search.fast_pass import FastPass
from sbert.mining.search.int8_pass import Int8Pass, Int8Vectors
from sbert.mining.search.rounded import RoundedVectors


@dataclass
class QueryPart:
    """R queries, and the block in which their k best are looked for.

    Attributes:
        rows: (R,), their numbers in the search.
        queries: (R, H).
        fast: of these queries and the vectors of the block, in the precision of the pass.
        excluded: what they do not find in the block.
        floor: (R,), which the k best scores are known to reach.
    """

    block: CorpusBlock
    rows: Tensor
    queries: Tensor
    fast: FastPass | Int8Pass
    excluded: ExcludedPairs
    floor: Tensor
    k: int

    def __len__(self) -> int:
        return len(self.queries)


def make_pass(
    queries: Tensor, vectors: RoundedVectors | Int8Vectors, scores: int
) -> FastPass | Int8Pass:
    """The fast pass of queries (R, H) in the precision of the vectors."""
    if isinstance(vectors, Int8Vectors):
        return Int8Pass(queries, vectors)
    return FastPass(queries, vectors, scores)
