"""The task `mine.py clusters`: communities of similar texts."""

import numpy as np
from torch import Tensor

from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.pairs import find_pairs, print_best_pairs
from sbert.mining.task import MiningTask

MAX_PAIRS = 20_000_000  # of which communities are made: a few GB


def communities(count: int, scores: Tensor, pairs: Tensor, min_size: int) -> list[list[int]]:
    """Groups of at least `min_size` of `count` vectors, largest first, no vector in two of them.

    A candidate is a vector, its centre, with all its neighbours, best first. Candidates are taken
    from the largest on, of equal ones that of the lower index first, without the vectors that were
    taken before. A vector that was taken is no centre. The first of a group is its centre.

    Args:
        scores, pairs: (P,) and (P, 2), all pairs above the threshold, from `similar_pairs`.
    """
    both = np.concatenate([pairs.numpy(), pairs.flip(1).numpy()])  # each pair from both of its ends
    owner, neighbour = both.T
    order = np.lexsort((neighbour, -np.tile(scores.numpy(), 2), owner))
    neighbour = neighbour[order]
    degree = np.bincount(owner, minlength=count)
    start = np.append(0, np.cumsum(degree))
    taken = np.zeros(count, bool)
    groups = []
    for centre in np.argsort(-degree, kind="stable"):
        if degree[centre] + 1 < min_size:
            break
        if taken[centre]:
            continue
        members = np.append(centre, neighbour[start[centre] : start[centre + 1]])
        members = members[~taken[members]]
        if len(members) >= min_size:
            taken[members] = True
            groups.append(members.tolist())
    return sorted(groups, key=len, reverse=True)


def mine_clusters(task: MiningTask) -> None:
    """`mine.py clusters`."""
    config = task.config
    texts = task.read(config.texts)
    search = find_pairs(task, texts, config.threshold, MAX_PAIRS)
    scores, pairs = search.best()
    require(
        len(scores) < MAX_PAIRS,
        f"threshold {config.threshold} is reached by {MAX_PAIRS:,} pairs and more; "
        "use a higher one",
    )
    groups = communities(len(texts), scores, pairs, config.min_community_size)
    print_best_pairs(task, texts, scores[:1], pairs[:1])
    _print_largest(task, texts, groups)
    if config.output.endswith(".jsonl"):
        rows = [_cluster_row(texts, number, group) for number, group in enumerate(groups, start=1)]
    else:
        rows = _member_rows(texts, groups)
    task.print(f"{len(groups):,} clusters with {sum(map(len, groups)):,} of {len(texts):,} texts")
    task.finish(encode_lines(rows, config.output, header=True))


def _cluster_row(texts: Collection, number: int, group: list[int]) -> dict:
    """A row of a .jsonl output: one for each cluster."""
    row = {"cluster": number, "size": len(group), "ids": [texts.ids[i] for i in group]}
    if texts.texts:
        row["texts"] = [texts.texts[i] for i in group]
    return row


def _member_rows(texts: Collection, groups: list[list[int]]) -> list[dict]:
    """The rows of a .tsv output: one for each text of each cluster."""
    rows = []
    for number, group in enumerate(groups, start=1):
        for place, i in enumerate(group, start=1):
            rows.append({"cluster": number, "place": place, **texts.cells(i)})
    return rows


def _print_largest(task: MiningTask, texts: Collection, groups: list[list[int]]) -> None:
    if groups:
        rows = []
        for group in groups[:10]:
            centre = texts.cells(group[0])
            rows.append([len(group), centre.get("text", texts.ids[group[0]])[:80]])
        task.print(markdown_table(["texts", "centre of the largest clusters"], rows) + "\n")
