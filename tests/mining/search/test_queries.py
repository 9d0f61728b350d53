"""What a search takes: vectors and indices of other types are searched alike, or refused."""

import numpy as np
import pytest
import torch
from vectors import generator

from sbert import InputError
from sbert.mining.search.similar_pairs import similar_pairs
from sbert.mining.search.top_k import top_k

VECTORS = torch.randint(-4, 5, (300, 6), generator=generator()).float()

OTHER_TYPES = {
    "lists": lambda x: x.tolist(),
    "integers": lambda x: x.long(),
    "array of int8": lambda x: x.numpy().astype(np.int8),
    "array of uint16": lambda x: (x.numpy() % 8).astype(np.uint16),
    "bool": lambda x: x > 0,
    "big-endian": lambda x: x.numpy().astype(">f4"),
    "long double": lambda x: x.numpy().astype(np.longdouble),
    "fp16": lambda x: x.half(),
    "bf16": lambda x: x.bfloat16(),
    "negative strides": lambda x: x.numpy()[::-1, ::-1],
    "read-only": lambda x: np.broadcast_to(x.numpy()[:1], x.shape),
    "columns": lambda x: x.T.contiguous().T,
    "gradient": lambda x: x.clone().requires_grad_(),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("convert", OTHER_TYPES.values(), ids=OTHER_TYPES)
@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_vectors_of_other_types_are_searched_as_floats(convert, similarity):
    queries, corpus = convert(VECTORS[:5]), convert(VECTORS)
    floats = [as_fp32(x) for x in (queries, corpus)]
    found = top_k(queries, corpus, 4, similarity=similarity)
    for mine, expected in zip(found, top_k(*floats, 4, similarity=similarity), strict=True):
        assert torch.equal(mine, expected)
    for mine, expected in zip(similar_pairs(corpus), similar_pairs(floats[1]), strict=True):
        assert torch.equal(mine, expected)


def as_fp32(vectors):
    if isinstance(vectors, torch.Tensor):
        return vectors.detach().float()
    return torch.from_numpy(np.array(vectors, dtype=np.float32, order="C"))


@pytest.mark.parametrize("length", [2.0**700, 2.0**-700])
def test_float64_of_all_lengths(length):
    """The squares of these numbers are infinite or 0 in fp64."""
    queries, corpus = VECTORS[:5].double() * length, VECTORS.double() * length
    for mine, expected in zip(
        top_k(queries, corpus, 4), top_k(VECTORS[:5], VECTORS, 4), strict=True
    ):
        assert torch.equal(mine, expected)
    if length > 1:
        with pytest.raises(InputError, match="vector 0 contains NaN or infinity in fp32"):
            top_k(queries, corpus, 4, similarity="dot")


BAD = {
    "k": ({"k": 2.5}, "k is 2.5; it must be an integer"),
    "block": ({"corpus_block": 2.5}, "corpus_block is 2.5; it must be an integer"),
    "flat queries": ({"queries": torch.ones(6)}, r"queries has shape \(6,\); it must be \(N, H\)"),
    "flat corpus": ({"corpus": [1.0, 2.0]}, r"corpus has shape \(2,\); it must be \(N, H\)"),
    "no numbers in a vector": ({"corpus": np.ones((3, 0))}, r"corpus has shape \(3, 0\)"),
    "ragged": ({"queries": [[1.0, 2.0], [1.0]]}, "queries is no array; it must be one, or rows of"),
    "text": ({"queries": [["a"] * 6]}, "queries is of type <U1; it must be of real numbers"),
    "complex": ({"corpus": VECTORS.cfloat()}, "corpus is of type torch.complex64"),
    "objects": ({"corpus": np.full((3, 6), None)}, "corpus is of type object"),
    "flat exclude": ({"exclude": [1, 2]}, "exclude must be a list of indices for each query"),
    "flat array": ({"exclude": np.array([1, 2])}, r"or an array \(Q, E\)"),
    "fraction": (
        {"exclude": [[1], [1.5]]},
        "query 0 excludes 1.0, of float64; it must be integers",
    ),
    "mask": ({"exclude": np.ones((2, 3), bool)}, "query 0 excludes True, of bool"),
    "fp array": ({"exclude": np.ones((2, 3))}, "query 0 excludes 1.0, of float64"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_what_is_no_vectors_or_indices_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        top_k(**({"queries": VECTORS[:2], "corpus": VECTORS, "k": 3} | changed))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(6),), r"corpus has shape \(6,\)"),
        ((VECTORS, None, 2.5), "limit is 2.5; it must be an integer"),
    ],
)
def test_pairs_of_what_is_no_vectors_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        similar_pairs(*arguments)


def test_pairs_are_similar_by_the_cosine_alone():
    with pytest.raises(InputError, match="by the cosine alone, not by dot"):
        similar_pairs(VECTORS, similarity="dot")


def test_excluded_as_a_tensor_and_as_arrays():
    exclude = [[i, i + 3] for i in range(5)]
    expected = top_k(VECTORS[:5], VECTORS, 4, exclude)
    for other in (
        torch.tensor(exclude),
        np.array(exclude, np.uint8),
        [np.array(x) for x in exclude],
    ):
        for mine, right in zip(top_k(VECTORS[:5], VECTORS, 4, other), expected, strict=True):
            assert torch.equal(mine, right)
