"""Each term of the bound is needed: on hardware that errs as much as the bound allows, the search
is right, and wrong without the term."""

from dataclasses import replace

import pytest
import torch
from misleading_vectors import H, better, inexact, sign, worse

from sbert.mining.search import fast_pass
from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.exact import naive_top_k
from sbert.mining.search.fast_pass import ErrorTerms, FastPass
from sbert.mining.search.sizes import CPU
from sbert.mining.search.top_k import top_k

# from the scores of the first tile nothing is subtracted, and they are rounded more than the others
SIZES = replace(CPU, scores=3 * 150)

SMALLEST = 2.0**-126


def mm(left, right, out):
    """A product that takes small numbers for 0 and truncates each sum to fp32."""
    left, right = (flushed(x.double()) for x in (left, right))
    total = torch.zeros(out.shape, dtype=torch.float64)
    for h in range(left.shape[1]):
        product = flushed(left[:, h, None] * right[h])
        bits = (total + product).view(torch.int64)
        total = (bits & -(2**29)).view(torch.float64)  # the 24 bits of fp32
    return out.copy_(total)


def flushed(x):
    return x.masked_fill(x.abs() < SMALLEST, 0)


def lost_in_sums():
    vector = torch.full((H,), 2.0**-24)
    vector[0], vector[-1] = 1, -1
    return vector


def lost_numbers():
    """The better vectors are of numbers that are taken for 0; their centre is 0."""
    vectors = torch.cat([worse(SMALLEST), better(torch.full((H,), SMALLEST / 2))])
    return torch.cat([vectors, -vectors])


def rounded_up():
    """Vectors whose sums become 1 + 2^-7 in bf16; their centre is 0."""
    vectors, number = torch.zeros(300, H), torch.arange(300)
    vectors[:, 0] = 1
    vectors[number, 1 + number // 100] = 2.0**-8 * (1 + (1 + number % 100) / 128)
    return torch.cat([vectors, -vectors])


def around_a_centre():
    """Sums just above the middle between 1 and the next number of fp32, or as much below 1."""
    vectors, number = torch.zeros(150, H), torch.arange(150)
    vectors[number, 1 + number // 50] = 2.0**-24 * (1 + (10 + number % 50) / 128)
    vectors = torch.cat([vectors, -vectors])
    vectors[:, 0] = 1
    return vectors


CASES = {
    "of_queries": (inexact, worse(2.0**-5), better(2 * sign)),
    "of_vectors": (2 * sign, worse(2.0**-6), inexact.repeat(10, 1)),
    "of_sums": (torch.ones(H), worse(2.0**-20), better(lost_in_sums())),
    "of_small_numbers": (torch.full((H,), 2.0**119), lost_numbers()),
    "of_small_results": (
        torch.full((H,), 2.0**-63),
        worse(2.0**-61),
        better(torch.full((H,), 2.0**-64)),
    ),
    "of_shift": (torch.ones(H), around_a_centre()),
    "eps": (torch.ones(H), rounded_up()),
    "shift": (torch.ones(H), rounded_up()),
}


def remove(term, monkeypatch):
    """Plant the error that a search without this term makes."""
    error_terms, init, subtract = fast_pass.error_terms, FastPass.__init__, FastPass.subtract

    def terms_without(*args):
        terms = error_terms(*args)
        return terms._replace(**{term: torch.zeros_like(terms.of_sums)})

    def init_without_eps(self, *args, **options):
        init(self, *args, **options)
        self.eps = 0.0

    def subtract_unseen(self, floor):
        less = subtract(self, floor)
        less.shift.zero_()
        return less

    if term == "eps":
        monkeypatch.setattr(FastPass, "__init__", init_without_eps)
    elif term == "shift":
        monkeypatch.setattr(FastPass, "subtract", subtract_unseen)
    else:
        monkeypatch.setattr(fast_pass, "error_terms", terms_without)


def test_all_terms_have_a_case():
    assert set(CASES) == {*ErrorTerms._fields, "eps", "shift"}


@pytest.mark.parametrize("term", CASES)
def test_the_result_is_right_with_a_term_and_wrong_without(term, monkeypatch):
    query, *corpus = CASES[term]
    queries, corpus = query.repeat(3, 1), torch.cat(corpus)
    scores, indices = naive_top_k(queries, corpus, 5, "dot")
    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: SIZES)
    found = top_k(queries, corpus, 5, similarity="dot", precision="bf16")
    assert torch.equal(found[0], scores)
    assert torch.equal(found[1], indices)
    remove(term, monkeypatch)
    found = top_k(queries, corpus, 5, similarity="dot", precision="bf16")
    assert not torch.equal(found[1], indices)
