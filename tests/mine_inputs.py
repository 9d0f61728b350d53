"""Small inputs for the tasks of mine.py."""

import json

import numpy as np
from tiny_models import WORDS

TEXTS = sorted({f"{a} {b} {c}" for a in WORDS[1:5] for b in WORDS[7:10] for c in WORDS[18:21]})[:30]


QUERIES = [
    "the cat sits",
    "a fast dog runs",
    "is the house red",
    "the cat sits on the mat",
    "a man eats",
]


def write_texts(path, texts):
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def table(path):
    """The rows of a result."""
    lines = path.read_text("utf-8").splitlines()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in lines]
    names = lines[0].split("\t") if lines else []
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def close(rows, expected):
    """Equal, but for the last digits of numbers."""
    assert [{k: v for k, v in row.items() if not isinstance(v, float)} for row in rows] == [
        {k: v for k, v in row.items() if not isinstance(v, float)} for row in expected
    ]
    numbers = [
        [v for row in some for v in row.values() if isinstance(v, float)]
        for some in (rows, expected)
    ]
    np.testing.assert_allclose(*numbers, atol=2e-6)


def plain_communities(products, threshold, least):
    """From the text with the most neighbours on: all of those that are left, if they are enough."""
    near = [
        sorted((-s, j) for j, s in enumerate(row) if j != i and s >= threshold)
        for i, row in enumerate(products)
    ]
    taken, groups = set(), []
    for i in sorted(range(len(near)), key=lambda i: -len(near[i])):
        group = [] if i in taken else [i, *(j for _, j in near[i] if j not in taken)]
        if len(group) >= least:
            taken |= set(group)
            groups.append(group)
    return sorted(groups, key=len, reverse=True)
