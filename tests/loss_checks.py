"""What holds for every loss of a bi-encoder: a test file gives its cases and inherits the tests."""

import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from sbert.losses.base import Loss

# (B, C) ids of texts that all differ
ONE_TEXT = [[0], [1], [2], [3], [4]]
TWO_TEXTS = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
THREE_TEXTS = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14]]
FOUR_TEXTS = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]

SCORES = [0.0, 0.4, 0.4, 1.0, 0.7]


@dataclass
class LossCase:
    """A loss, the same loss as a plain loop, and what it reads.

    reference: (loss, columns, labels, texts) as lists of floats -> a float.
    texts: (B, C) ids; equal texts have equal embeddings, as a model gives them. -1: missing.
    """

    name: str
    make: Callable[[], Loss]
    reference: Callable[[Loss, list, list | None, list], float]
    texts: list[list[int]]
    labels: list | None = None
    dim: int = 6

    def __str__(self) -> str:
        return self.name

    def loss(self, dtype: torch.dtype = torch.float64) -> Loss:
        torch.manual_seed(1)
        return self.make().bind(self.dim).to(dtype)

    def batch(
        self, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> tuple[list[Tensor], Tensor | None, Tensor]:
        """Columns (B, H), labels and texts; what stands for a missing text is another embedding."""
        generator = torch.Generator().manual_seed(seed)
        embeddings = torch.randn(20, self.dim, generator=generator, dtype=torch.float64).to(dtype)
        texts = torch.tensor(self.texts)
        columns = [embeddings[column] for column in texts.T]
        return columns, None if self.labels is None else torch.tensor(self.labels), texts


class LossChecks:
    """The tests of a file's losses; the file defines the fixture `case`, a `LossCase`."""

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_equals_the_plain_loop(self, case, seed):
        loss = case.loss()
        columns, labels, texts = case.batch(seed)
        plain_labels = None if labels is None else labels.tolist()
        expected = case.reference(loss, [c.tolist() for c in columns], plain_labels, texts.tolist())
        assert expected > 0
        value = loss(columns, labels, texts)
        assert value.shape == ()
        assert value.item() == pytest.approx(expected, rel=1e-12)

    def test_gradcheck(self, case):
        """With respect to the embeddings and, where the loss has them, its weights."""
        loss = case.loss()
        columns, labels, texts = case.batch()
        weights = {name: p for name, p in loss.named_parameters() if p.requires_grad}
        inputs = [*columns, *(p.detach().clone() for p in weights.values())]

        def value(*inputs):
            given = dict(zip(weights, inputs[len(columns) :], strict=True))
            return functional_call(loss, given, (inputs[: len(columns)], labels, texts))

        assert torch.autograd.gradcheck(value, [x.requires_grad_() for x in inputs])

    @pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("autocast", [False, True])
    def test_half_types_are_computed_in_fp32(self, case, half, autocast):
        loss = case.loss(torch.float32)
        columns, labels, texts = case.batch(dtype=half)
        expected = loss([c.float() for c in columns], labels, texts)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            value = loss(columns, labels, texts)
        assert value.dtype == torch.float32
        assert torch.equal(value, expected)

    def test_autocast_around_fp32_changes_nothing(self, case):
        loss = case.loss(torch.float32)
        columns, labels, texts = case.batch(dtype=torch.float32)
        for column in columns:
            column.requires_grad_()
        without = loss(columns, labels, texts)
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(columns, labels, texts)
            assert torch.is_autocast_enabled("cpu")  # off inside the loss alone
        assert value.dtype == torch.float32
        assert torch.equal(value, without)
        gradients = torch.autograd.grad(value, columns)
        for mine, expected in zip(gradients, torch.autograd.grad(without, columns), strict=True):
            assert torch.equal(mine, expected)

    def test_gradients_reach_a_bf16_encoder(self, case):
        loss = case.loss(torch.float32)
        columns, labels, texts = case.batch(dtype=torch.bfloat16)
        for column in columns:
            column.requires_grad_()
        loss(columns, labels, texts).backward()
        assert all(c.grad.dtype == torch.bfloat16 and c.grad.isfinite().all() for c in columns)
        assert any(c.grad.any() for c in columns)

    def test_order_of_the_rows_does_not_matter(self, case):
        loss = case.loss()
        columns, labels, texts = case.batch()
        order = torch.tensor([3, 0, 4, 2, 1])
        moved_labels = None if labels is None else labels[order]
        shuffled = loss([c[order] for c in columns], moved_labels, texts[order])
        assert shuffled.item() == pytest.approx(loss(columns, labels, texts).item(), rel=1e-12)

    def test_is_the_mean_over_rows_unless_it_is_joint(self, case):
        loss = case.loss()
        columns, labels, texts = case.batch()
        alone = []
        for i in range(len(texts)):
            row = slice(i, i + 1)
            label = None if labels is None else labels[row]
            alone.append(loss([c[row] for c in columns], label, texts[row]).item())
        mean = pytest.approx(sum(alone) / len(alone), rel=1e-12)
        assert (loss(columns, labels, texts).item() == mean) == (not loss.joint)

    @pytest.mark.parametrize("same", [0.0, 1.0])
    def test_equal_and_zero_vectors_have_finite_gradients(self, case, same):
        loss = case.loss()
        columns, labels, texts = case.batch()
        columns = [torch.full_like(column, same).requires_grad_() for column in columns]
        loss(columns, labels, texts).backward()
        assert all(column.grad.isfinite().all() for column in columns)

    def test_what_stands_for_a_missing_text_does_not_matter(self, case):
        loss = case.loss()
        columns, labels, texts = case.batch()
        missing = (texts < 0).T[:, :, None]  # (C, B, 1)
        other = [c.masked_fill(gone, 7.0) for c, gone in zip(columns, missing, strict=True)]
        assert torch.equal(loss(other, labels, texts), loss(columns, labels, texts))

    def test_it_declares_what_it_reads(self, case):
        loss = case.loss()
        width = len(case.texts[0])
        assert width == loss.columns or (loss.ragged and width > loss.columns)
        assert (case.labels is None) == (loss.target is None)


def defined_losses(family: str) -> set[type[Loss]]:
    """The losses that a file of sbert/losses/ defines, without base classes."""
    module = importlib.import_module(f"sbert.losses.{family}")
    classes = {c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, Loss)}
    return {c for c in classes if c.__module__ == module.__name__ and not inspect.isabstract(c)}


def case_losses(cases: Sequence[LossCase]) -> set[type[Loss]]:
    return {type(case.make()) for case in cases}


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cos(a: list[float], b: list[float]) -> float:
    return dot(a, b) / (math.sqrt(dot(a, a)) * math.sqrt(dot(b, b)))


def rows(*vectors: Sequence[float]) -> Tensor:
    """A column (B, H) typed by hand."""
    return torch.tensor(vectors, dtype=torch.float64)
