"""Candidates of a block of queries on a device that works through a queue: the M best fast scores.

Every shape is known beforehand, so that nothing waits for the device: neither a threshold that lets
through as many as there are (`candidate_table.py`), nor a number that Python reads.
"""

import torch
from torch import Tensor

from sbert.mining.search.corpus_block import ExcludedPairs
from sbert.mining.search.fast_pass import GROUP, FastPass

LEAST_KEPT = 64


def kept_for(k: int) -> int:
    """M, the number of candidates that are kept for k neighbours: of real sentences more than 1.4 k
    are rarely within the bound of bf16, and 1.1 k of fp16."""
    return max(LEAST_KEPT, k + k // 2)


def best_candidates(fast: FastPass, excluded: ExcludedPairs, count: int) -> tuple[Tensor, Tensor]:
    """The `count` (M) best fast scores of each query, in any order, and their columns: (R, M) each.

    -inf where there are fewer; the column is 0 there.
    """
    queries, dtype = fast.queries, fast.vectors.dtype
    best = torch.full((len(queries), count), -torch.inf, dtype=dtype, device=queries.device)
    columns = torch.zeros(best.shape, dtype=torch.int64, device=queries.device)
    for tile, scores in fast.tiles():
        excluded.mask(scores, tile)
        found, place = best_of_tile(scores, count)
        columns = torch.cat([columns, place + tile.start], dim=1)
        best, order = torch.cat([best, found], dim=1).topk(count, sorted=False)
        columns = columns.gather(1, order)
    return best, columns.masked_fill(best.isneginf(), 0)


def best_of_tile(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best of each row (R, T), or all, and their columns: (R, M) each.

    They are in the `count` groups with the largest maxima: any other group's scores are at most
    these. Groups are those of `entries_from`.
    """
    columns = scores.shape[1]
    groups = columns // GROUP
    if groups < 4 * count:
        return scores.topk(min(count, columns), sorted=False)
    grouped = scores[:, : groups * GROUP].unflatten(1, (GROUP, groups))  # (R, GROUP, G)
    group = grouped.amax(1).topk(count, sorted=False)[1]  # (R, M)
    group = group[:, None].expand(-1, GROUP, -1)  # (R, GROUP, M)
    member = torch.arange(GROUP, device=scores.device)[:, None]
    rest = torch.arange(groups * GROUP, columns, device=scores.device)
    found = torch.cat([grouped.gather(2, group).flatten(1), scores[:, groups * GROUP :]], dim=1)
    place = torch.cat([(group + groups * member).flatten(1), rest.expand(len(scores), -1)], dim=1)
    best, order = found.topk(count, sorted=False)
    return best, place.gather(1, order)
