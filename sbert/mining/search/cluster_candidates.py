"""The search of clusters: whole ones are left out that cannot hold a neighbour of a query.

Many texts of logs, forms and templates are nearly equal. Then a query has hundreds of near ties,
which low precision cannot tell apart, and all of them are in one cluster. What is in other clusters
is below its floor (vector_clusters.py), so that few vectors are multiplied, and these in fp32.
"""

import torch
from torch import Tensor

from sbert.mining.search.candidate_table import kth_best
from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import exact_pair_scores
from sbert.mining.search.query_part import QueryPart
from sbert.mining.search.sizes import CPU

# the share of all products that a pass in low precision would compute, up to which this saves time
MOST_COMPARED = 0.35

# products of one vector that take as long as to copy it
COPY = 40

# vectors that are copied at a time
COPIED = 4096

# candidates of a query, or for each neighbour, beyond which it has too many near ties
CROWDED = 256
CROWDED_PER_NEIGHBOUR = 8


def cluster_candidates(part: QueryPart) -> tuple[Entries, Tensor]:
    """The candidates of R queries that can be among the k best, with exact scores; and which
    queries (R,) are undecided, of which there are none: they would be compared with too many
    clusters, or have too many near ties.

    part: in fp32, of queries that share their nearest clusters, as far as possible.
    """
    block, queries, fast, k = part.block, part.queries, part.fast, part.k
    clusters = block.clusters
    most = MOST_COMPARED * len(block) * len(queries) / (len(queries) + COPY)
    of_centres = clusters.scores(queries)  # (R, G)
    nearest = of_centres.argmax(1).unique()
    if clusters.counts[nearest].sum() > most:
        nothing = torch.empty(0, dtype=torch.int64)
        return (nothing, nothing, torch.empty(0)), torch.ones(len(queries), dtype=torch.bool)
    columns = clusters.columns_of(nearest)
    scores = _scores(part, columns)
    floor = torch.maximum(part.floor, fast.bounds(kth_best(scores, k))[0])
    # as it is NaN where products are beyond fp64
    needed = ~(clusters.upper_bounds(queries, of_centres) < floor[:, None])  # (R, G)
    undecided = (needed * clusters.counts).sum(1) > most
    needed[undecided] = False
    needed[:, nearest] = False
    others = needed.any(0).nonzero()[:, 0]
    if len(columns) + clusters.counts[others].sum() > most:
        undecided |= needed.any(1)
        others = others[:0]
    if len(others):
        other_columns = clusters.columns_of(others)
        columns = torch.cat([columns, other_columns])
        scores = torch.cat([scores, _scores(part, other_columns)], dim=1)
        floor = torch.maximum(floor, fast.bounds(kth_best(scores, k))[0])
    reaching = scores >= fast.threshold(floor)[:, None]
    undecided |= reaching.sum(1) > max(CROWDED, CROWDED_PER_NEIGHBOUR * k)
    reaching &= ~undecided[:, None]
    row, place = reaching.nonzero(as_tuple=True)
    column = columns[place]
    return (row, column, exact_pair_scores(queries, row, block.fp32, column, CPU)), undecided


def _scores(part: QueryPart, columns: Tensor) -> Tensor:
    """The fast scores (R, T) of some vectors of the block."""
    fast, copied = part.fast, columns.split(COPIED)
    scores = torch.cat([fast.queries @ fast.vectors[some].T for some in copied], dim=1)
    part.excluded.mask_selected(scores, columns)
    return scores
