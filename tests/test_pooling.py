"""Pooling: known numbers, a plain loop over tokens, padding, half types, empty rows."""

import math

import pytest
import torch

from sbert import pooling
from sbert.errors import InputError
from sbert.pooling import POOLING, check_modes, pool

MODES = list(POOLING)
LENGTHS = [5, 1, 3, 7, 2]
H = 6


def loop(tokens, mask, mode):
    """One row and one dimension after the other, in Python floats."""
    result = []
    for row, real in zip(tokens.tolist(), mask.tolist(), strict=True):
        kept = [token for token, m in zip(row, real, strict=True) if m]
        n = len(kept)
        pooled = []
        for h in range(tokens.shape[-1]):
            x = [token[h] for token in kept]
            if n == 0:
                pooled.append(0.0)
            elif mode == "cls":
                pooled.append(x[0])
            elif mode == "last_token":
                pooled.append(x[-1])
            elif mode == "max":
                pooled.append(max(x))
            elif mode == "mean":
                pooled.append(sum(x) / n)
            elif mode == "mean_sqrt_len":
                pooled.append(sum(x) / math.sqrt(n))
            elif mode == "weighted_mean":
                pooled.append(sum((t + 1) * x[t] for t in range(n)) / (n * (n + 1) / 2))
        result.append(pooled)
    return torch.tensor(result, dtype=torch.float64)


def ragged(side, lengths=LENGTHS, seed=0, padding=0.0):
    """Rows of the same real tokens whatever the side of the padding; `padding` fills the others."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) + 2  # so that the longest row is padded too
    tokens = torch.full((len(lengths), width, H), padding, dtype=torch.float64)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for i, n in enumerate(lengths):
        start = {"right": 0, "left": width - n, "both": 1}[side]
        tokens[i, start : start + n] = torch.randn(n, H, generator=generator, dtype=torch.float64)
        mask[i, start : start + n] = 1
    return tokens, mask


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", [-1.12584, -1.15236, -0.25058]),
        ("max", [-0.31601, 0.84871, 0.69201]),
        ("mean", [-0.62524, -0.80629, 0.30318]),
        ("mean_sqrt_len", [-1.08295, -1.39653, 0.52512]),
        ("weighted_mean", [-0.49027, -0.96677, 0.42295]),
        ("last_token", [-0.31601, -2.11522, 0.46810]),
    ],
)
def test_known_numbers(mode, expected):
    torch.manual_seed(0)
    tokens = torch.randn(2, 4, 3)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    torch.testing.assert_close(
        pool(tokens, mask, [mode])[0], torch.tensor(expected), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", 6.0),
        ("max", 6.0),
        ("mean", 3.0),
        ("mean_sqrt_len", 6.0),
        ("weighted_mean", 2.0),
        ("last_token", 0.0),
    ],
)
def test_hand_arithmetic(mode, expected):
    # sum 12; 12 / 4; 12 / sqrt 4; (1*6 + 2*4 + 3*2 + 4*0) / (1 + 2 + 3 + 4)
    tokens = torch.tensor([6.0, 4.0, 2.0, 0.0])[None, :, None]
    assert pool(tokens, torch.ones(1, 4, dtype=torch.long), [mode]).item() == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["right", "left", "both"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.float32])
def test_equals_the_plain_loop(mode, side, dtype):
    tokens, mask = ragged(side, [0, *LENGTHS], seed=1)
    torch.testing.assert_close(
        pool(tokens, mask.to(dtype), [mode]), loop(tokens, mask, mode), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("mode", MODES)
def test_side_of_the_padding_does_not_matter(mode):
    right, left, both = (pool(*ragged(side), [mode]) for side in ("right", "left", "both"))
    torch.testing.assert_close(left, right, atol=1e-14, rtol=0)
    torch.testing.assert_close(both, right, atol=1e-14, rtol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("junk", [7.0, -7.0, 1e300, -1e300])
def test_values_in_the_padding_do_not_matter(mode, side, junk):
    assert torch.equal(pool(*ragged(side, padding=junk), [mode]), pool(*ragged(side), [mode]))


@pytest.mark.parametrize("mode", MODES)
def test_padding_gets_no_gradient(mode):
    tokens, mask = ragged("right")
    tokens.requires_grad_()
    pool(tokens, mask, [mode]).sum().backward()
    assert tokens.grad[mask == 0].eq(0).all()
    assert tokens.grad[mask == 1].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_types_are_pooled_in_fp32(mode, half):
    # 300 tokens near 1: a sum kept in bf16 stops growing at 256
    generator = torch.Generator().manual_seed(2)
    tokens = 1 + 0.1 * torch.randn(2, 300, H, generator=generator)
    mask = torch.ones(2, 300, dtype=torch.long)
    pooled = pool(tokens.to(half), mask, [mode])
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, pool(tokens.to(half).float(), mask, [mode]))
    torch.testing.assert_close(
        pooled, pool(tokens, mask, [mode]), atol=0, rtol=2 * torch.finfo(half).eps
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_types_keep_their_type(dtype):
    tokens, mask = ragged("right")
    assert pool(tokens.to(dtype), mask, MODES).dtype == dtype


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_one_token_is_its_own_pooling(mode, side):
    tokens, mask = ragged(side, [1, 1, 1])
    assert torch.equal(pool(tokens, mask, [mode]), tokens[mask.bool()])


@pytest.mark.parametrize("mode", MODES)
def test_equal_tokens_pool_to_that_token(mode):
    tokens = torch.linspace(-2, 2, H).expand(2, 4, H)
    factor = 2.0 if mode == "mean_sqrt_len" else 1.0  # n / sqrt n
    torch.testing.assert_close(
        pool(tokens, torch.ones(2, 4, dtype=torch.long), [mode]), factor * tokens[:, 0]
    )


@pytest.mark.parametrize("mode", MODES)
def test_empty_row_is_zero_with_finite_gradients(mode):
    tokens, mask = ragged("right", [3, 0, 2], padding=-5.0)
    tokens.requires_grad_()
    pooled = pool(tokens, mask, [mode])
    assert pooled[1].eq(0).all()
    (pooled + pooled.square()).sum().backward()
    assert tokens.grad.isfinite().all()
    assert tokens.grad[1].eq(0).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_maximum_of_negative_values_is_negative(side):
    tokens, mask = ragged(side)
    pooled = pool(-tokens.abs() - 1, mask, ["max"])
    assert (pooled <= -1).all()


def test_modes_are_concatenated_in_the_order_given():
    tokens, mask = ragged("left")
    for modes in (["cls", "mean"], ["mean", "cls"], MODES, MODES[::-1], ["max", "max"]):
        parts = pool(tokens, mask, modes).split(H, dim=-1)
        assert len(parts) == len(modes)
        for mode, part in zip(modes, parts, strict=True):
            assert torch.equal(part, pool(tokens, mask, [mode]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_gradcheck(mode, side):
    tokens, mask = ragged(side, [2, 0, 3])
    assert torch.autograd.gradcheck(lambda x: pool(x, mask, [mode]), tokens.requires_grad_())


@pytest.mark.parametrize("mode", ["mean", "mean_sqrt_len", "weighted_mean"])
def test_linear_in_the_tokens(mode):
    tokens, mask = ragged("right")
    other, _ = ragged("right", seed=3)
    expected = 2 * pool(tokens, mask, [mode]) - 3 * pool(other, mask, [mode])
    torch.testing.assert_close(
        pool(2 * tokens - 3 * other, mask, [mode]), expected, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("mode", ["mean", "mean_sqrt_len", "max"])
def test_order_of_the_tokens_does_not_matter(mode):
    tokens, mask = ragged("right", [7, 7, 7])
    shuffled = tokens.clone()
    shuffled[:, :7] = tokens[:, [3, 0, 6, 5, 1, 4, 2]]
    torch.testing.assert_close(
        pool(shuffled, mask, [mode]), pool(tokens, mask, [mode]), atol=1e-14, rtol=0
    )


def test_one_name_or_a_list_of_names():
    assert check_modes("mean") == ["mean"]
    assert check_modes(("cls", "max")) == ["cls", "max"]


@pytest.mark.parametrize(
    ("modes", "named"),
    [("median", "'median'"), (["mean", "Mean"], "'Mean'"), ([], "empty"), ((), "empty")],
)
def test_unknown_and_missing_modes_are_refused(modes, named):
    with pytest.raises(InputError) as error:
        check_modes(modes)
    assert named in str(error.value)
    assert all(mode in str(error.value) for mode in MODES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_lower_the_precision(mode, dtype):
    # training pools inside autocast, which turns a matrix product into one of bf16
    tokens, mask = ragged("right")
    tokens = tokens.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = pool(tokens, mask, [mode])
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, pool(tokens, mask, [mode]))


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_the_public_function_of_that_name(mode):
    tokens, mask = ragged("left")
    assert torch.equal(getattr(pooling, mode)(tokens, mask), pool(tokens, mask, [mode]))
