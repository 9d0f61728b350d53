r"""How the embeddings of bi-encoders are spread over the sphere, as a Markdown table.

python tools/embedding_spread.py models/all-MiniLM-L6-v2 runs/mlm_reset/best --data stsb:test

mean cosine: of all pairs of different texts. Near 1, all embeddings point the same way (anisotropy,
    Ethayarajh 2019, arXiv 1909.00512); an encoder that is tuned for sentences is near 0.
uniformity: the logarithm of the mean of exp(-2 |x - y|^2) over the same pairs; less is better.
alignment: the mean of |x - y|^2 over the pairs that the dataset calls similar, with a label of 0.8
    or more of 1 (SimCSE, arXiv 2104.08821, section 6); less is better.

Uniformity and alignment are those of Wang and Isola (2020, arXiv 2005.10242). All are of embeddings
scaled to length 1, in double precision.
"""

import argparse
import sys

import numpy as np

from sbert import BiEncoder
from sbert.data.origin import dataset_by_name
from sbert.data.rows import Rows, read_dataset
from sbert.errors import one_line_errors, require
from sbert.markdown import markdown_table
from sbert.texts import unique

SIMILAR = 0.8  # the least label of a pair of alignment

BLOCK = 1024  # rows of the matrix of distances that are in memory


def mean_cosine(embeddings: np.ndarray) -> float:
    """The mean cosine of all pairs i != j of embeddings (N, H) of length 1.

    The sum over all i and j is |sum of all|^2, of which N are those of i = j.
    """
    number = len(embeddings)
    total = embeddings.sum(axis=0)
    return float((total @ total - number) / (number * (number - 1)))


def uniformity(embeddings: np.ndarray) -> float:
    """log mean over i != j of exp(-2 |x_i - x_j|^2), of embeddings (N, H) of length 1."""
    number = len(embeddings)
    total = 0.0
    for start in range(0, number, BLOCK):
        cosines = embeddings[start : start + BLOCK] @ embeddings.T  # (BLOCK, N)
        total += float(np.exp(4 * (cosines - 1)).sum())  # |x - y|^2 = 2 - 2 cos
    return float(np.log((total - number) / (number * (number - 1))))


def alignment(u: np.ndarray, v: np.ndarray) -> float:
    """The mean of |u - v|^2 over P pairs of embeddings (P, H); NaN without pairs."""
    return float(np.square(u - v).sum(axis=1).mean()) if len(u) else float("nan")


def measure(path: str, rows: Rows) -> list[float]:
    """The mean cosine, uniformity and alignment of one bi-encoder on the texts of pairs."""
    texts, index = unique([text for column in rows.texts for text in column])
    require(len(texts) > 1, f"{rows.name}: the spread needs two different texts")
    embeddings = BiEncoder.from_pretrained(path).encode(texts).astype(np.float64)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.split(embeddings[index], 2)
    similar = rows.labels >= SIMILAR
    return [
        mean_cosine(embeddings),
        uniformity(embeddings),
        alignment(first[similar], second[similar]),
    ]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="folders of bi-encoders")
    parser.add_argument("--data", default="stsb:test", help="labelled pairs; default: stsb:test")
    options = parser.parse_args(argv)
    with one_line_errors("embedding_spread.py"):
        rows = read_dataset(dataset_by_name(options.data, "test"))
        require(rows.task == "sts", f"{rows.name}: task {rows.task}; the spread is of sts")
        table = [[path, *measure(path, rows)] for path in options.models]
    print(markdown_table(["model", "mean cosine", "uniformity", "alignment"], table))


if __name__ == "__main__":
    main(sys.argv[1:])
