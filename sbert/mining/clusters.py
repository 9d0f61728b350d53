"""The task `mine.py clusters`: communities of similar texts."""

from sbert.atomic import encode_lines
from sbert.errors import InputError
from sbert.markdown import markdown_table
from sbert.mining.pairs import MOST_PAIRS, check_pair_options, find_pairs, pair_row, show_pairs
from sbert.mining.similar_pairs import communities
from sbert.mining.task import MiningTask


def mine_clusters(task: MiningTask) -> None:
    """`mine.py clusters`."""
    config = task.config
    if config.min_community_size < 1:
        raise InputError(f"min_community_size is {config.min_community_size}; it must be 1 or more")
    check_pair_options(config.threshold, MOST_PAIRS)
    texts = task.read(config.texts)
    done = task.begin(task.settings(texts=texts))
    found = find_pairs(task, texts, config.threshold, MOST_PAIRS, task.vectors(texts), done)
    scores, places = found.best()
    if len(scores) == MOST_PAIRS:
        raise InputError(
            f"threshold {config.threshold} is reached by {MOST_PAIRS:,} pairs and more; use a higher one"
        )
    groups = communities(len(texts), scores, places, config.min_community_size)
    show_pairs(
        task, [pair_row(texts, scores[0].item(), *places[0].tolist())] if len(scores) else []
    )
    rows = []
    for number, group in enumerate(groups, start=1):
        if config.output.endswith(".jsonl"):
            members = {"ids": [texts.ids[i] for i in group]} | (
                {"texts": [texts.texts[i] for i in group]} if texts.texts else {}
            )
            rows.append({"cluster": number, "size": len(group)} | members)
        else:
            rows += [
                {"cluster": number, "place": place} | texts.cells(i)
                for place, i in enumerate(group, start=1)
            ]
    shown = [
        [len(group), texts.cells(group[0]).get("text", texts.ids[group[0]])[:80]]
        for group in groups[:10]
    ]
    if shown:
        task.say(markdown_table(["texts", "centre of the largest clusters"], shown) + "\n")
    task.say(f"{len(groups):,} clusters with {sum(map(len, groups)):,} of {len(texts):,} texts")
    task.finish(encode_lines(rows, config.output, header=True))
