"""The default device and the type of matrix products."""

import pytest
import torch
from vectors import generator

from sbert.device import default_device, full_precision_products, map_in_threads
from sbert.mining.search.top_k import top_k


def test_an_accelerator_that_is_not_in_the_machine_is_not_chosen(monkeypatch):
    """torch names the accelerator it was built for, whether or not there is one."""
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert default_device() == torch.device("cuda")


def test_the_cpu_can_be_chosen(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    assert default_device() == torch.device("cpu")


def test_searches_are_on_the_cpu_where_a_device_lacks_fp64():
    vectors = torch.randn(20, 4, generator=generator())
    for similarity in ("cosine", "euclidean"):
        right = top_k(vectors, vectors, 3, similarity=similarity)
        found = top_k(vectors, vectors, 3, similarity=similarity, device="mps")
        assert torch.equal(found[1], right[1])


@pytest.fixture
def restored():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("chosen", ["highest", "high", "medium"])
@pytest.mark.usefixtures("restored")
def test_products_in_full_precision(chosen):
    g = generator()
    a, b = torch.randn(400, 384, generator=g), torch.randn(384, 400, generator=g)
    right = a.double() @ b.double()
    torch.set_float32_matmul_precision(chosen)
    usual = a @ b
    with full_precision_products():
        found = a @ b
    assert (found - right).abs().max() < 1e-3
    assert torch.equal(a @ b, usual)
    assert torch.get_float32_matmul_precision() == chosen
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        torch.backends.cuda.matmul.fp32_precision = "tf32"  # chosen apart, and torch has no overall
        with full_precision_products():
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_a_map_in_threads_has_the_order_and_the_errors_of_map():
    torch.set_num_threads(3)
    try:
        with torch.inference_mode():
            total = torch.zeros(5)

            def add(place):
                assert torch.get_num_threads() == 1
                total[place] += place  # of inference mode, as in the thread that calls
                return place, 12 // (4 - place)

            assert list(map_in_threads(add, range(4))) == [(0, 3), (1, 4), (2, 6), (3, 12)]
            assert total.tolist() == [0, 1, 2, 3, 0]
            with pytest.raises(ZeroDivisionError):
                list(map_in_threads(add, range(5)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
