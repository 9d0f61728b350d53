"""A part of the queries of a search in one block: what its passes are given."""

from dataclasses import dataclass

from torch import Tensor

from sbert.mining.search.corpus_block import CorpusBlock, ExcludedPairs
from sbert.mining.search.fast_pass import FastPass
from sbert.mining.search.int8_pass import Int8Pass


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
