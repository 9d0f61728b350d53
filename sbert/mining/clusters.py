"""The task `mine.py clusters`: communities of similar texts."""

import numpy as np
from torch import Tensor

from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.pairs import find_pairs, print_best_pairs
from sbert.mining.search.duplicates import Duplicates
from sbert.mining.task import MiningTask

MAX_PAIRS = 20_000_000  # of which communities are made: a few GB


def communities(
    duplicates: Duplicates, scores: Tensor, pairs: Tensor, min_size: int
) -> list[list[int]]:
    """Groups of at least `min_size` of N vectors, largest first, no vector in two of them.

    A candidate is a vector, its centre, with all its neighbours, best first. Candidates are taken
    from the largest on, of equal ones that of the lower index first, without the vectors that were
    taken before. A vector that was taken is no centre. The first of a group is its centre.

    Exact duplicates have the same neighbours and each other. So they are taken together, and the
    first of them stands for all: the U distinct vectors, each with its count, are searched.

    Args:
        scores, pairs: (P,) and (P, 2), all pairs of distinct vectors above the threshold, from
            `SimilarPairs`.
    """
    # each pair from both of its ends
    owner, neighbour = np.concatenate([pairs.numpy(), pairs.flip(1).numpy()]).T
    values = np.tile(scores.numpy(), 2)
    order = np.lexsort((neighbour, -values, owner))  # of each vector in turn, best first
    owner, neighbour, values = owner[order], neighbour[order], values[order]
    counts = duplicates.counts
    start = np.append(0, np.cumsum(np.bincount(owner, minlength=len(counts))))
    sizes = counts + np.bincount(owner, counts[neighbour], len(counts)).astype(int)
    large_enough = np.count_nonzero(sizes >= min_size)
    taken = np.zeros(len(counts), bool)
    groups = []
    for centre in np.argsort(-sizes, kind="stable")[:large_enough]:
        if taken[centre]:
            continue
        near = slice(start[centre], start[centre + 1])
        left = ~taken[neighbour[near]]
        members = np.append(centre, neighbour[near][left])
        if counts[members].sum() >= min_size:
            taken[members] = True
            groups.append(_member_rows(duplicates, members, values[near][left]))
    return sorted(groups, key=len, reverse=True)


def _member_rows(duplicates: Duplicates, members: np.ndarray, scores: np.ndarray) -> list[int]:
    """The rows of a centre and of its neighbours, given their scores: the centre's first row, then
    all others, best first, of equal scores the lower row first."""
    rows = duplicates.rows_of(members)
    scores = np.repeat(np.append(np.float32(1), scores), duplicates.counts[members])
    scores[0] = np.inf
    return rows[np.lexsort((rows, -scores))].tolist()


def mine_clusters(task: MiningTask) -> None:
    """`mine.py clusters`."""
    config = task.config
    texts = task.read(config.texts)
    duplicates, scores, pairs = find_pairs(task, texts, config.threshold, MAX_PAIRS)
    require(
        len(scores) < MAX_PAIRS,
        f"threshold {config.threshold} is reached by {MAX_PAIRS:,} pairs and more; "
        "use a higher one",
    )
    groups = communities(duplicates, scores, pairs, config.min_community_size)
    print_best_pairs(task, texts, scores[:1], duplicates.first[pairs[:1].numpy()])
    if groups:
        names = texts.texts or texts.ids
        rows = [[len(group), names[group[0]][:80]] for group in groups[:10]]
        task.print(markdown_table(["texts", "centre of the largest clusters"], rows) + "\n")
    rows = []
    for number, group in enumerate(groups, start=1):
        rows += _cluster_rows(texts, number, group, config.output)
    task.print(f"{len(groups):,} clusters with {sum(map(len, groups)):,} of {len(texts):,} texts")
    task.finish(encode_lines(rows, config.output, header=True))


def _cluster_rows(texts: Collection, number: int, group: list[int], output: str) -> list[dict]:
    # one row with lists for .jsonl, one row for each text for .tsv
    if output.endswith(".tsv"):
        members = enumerate(group, start=1)
        return [{"cluster": number, "place": place, **texts.cells(i)} for place, i in members]
    lists = {"ids": [texts.ids[i] for i in group]}
    if texts.texts:
        lists["texts"] = [texts.texts[i] for i in group]
    return [{"cluster": number, "size": len(group), **lists}]
