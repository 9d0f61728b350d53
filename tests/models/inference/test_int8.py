"""precision int8_dynamic: the rounding and the product by hand, and who may ask for it."""

import numpy as np
import pytest
import torch
from support import needs_int8
from tiny_models import mpnet_tokenizer
from transformers import MPNetConfig, MPNetModel

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.device import resolve_precision
from sbert.mining.config import MineConfig
from sbert.models.inference.copies import check_int8, copy_packed
from sbert.models.inference.linear import Int8Linear, check_int8_products, quantize


def test_rounding_by_hand():
    # (2.54 - 0) / 254 = 0.01 a step, and 0 is 0 steps
    rounded, scale, zero = quantize(torch.tensor([[0.0, 0.014, 0.016, 2.54]]))
    assert (rounded.tolist(), zero) == ([[0, 1, 2, 254]], 0)
    assert scale == pytest.approx(0.01)
    # (1.27 + 1.27) / 254 = 0.01 a step; 0 is 127
    rounded, scale, zero = quantize(torch.tensor([-1.27, -0.016, 0.0, 0.016, 1.27]))
    assert (rounded.tolist(), zero) == ([0, 125, 127, 129, 254], 127)
    # all above 0: the range still begins at 0, which is exact
    assert quantize(torch.tensor([100.0, 254.0]))[0].tolist() == [100, 254]


@pytest.mark.parametrize("low", [-3.0, -0.1, 0.0, 2.0])
def test_every_number_is_within_half_a_step(low):
    """And none leaves 0 to 255, which would wrap around."""
    for high in torch.linspace(0.01, 5, 200).tolist():
        x = torch.linspace(low, low + high, 101)
        rounded, scale, zero = quantize(x)
        back = scale * (rounded.double() - zero)
        assert (back - x).abs().max() <= 0.5001 * scale


@pytest.mark.parametrize("shape", [(3, 2**17 - 5), (2**17 + 1,), (5, 7, 2**13)])
def test_large_arrays_are_rounded_in_parts_as_at_once(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rounded, scale, zero = quantize(x)
    assert torch.equal(rounded, (x * (1 / scale) + (zero - 128.0)).round().add(128).to(torch.uint8))


def test_rows_apart_in_memory_are_rounded_as_rows_side_by_side():
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(quantize(x.t())[0], quantize(x.t().contiguous())[0])


def test_the_lowest_number_half_way_between_two_steps_does_not_wrap_around():
    """n + 1/2 steps below 0 it may be rounded to either side; one step too far is the highest."""
    high = np.float32(1)
    for n in range(254):
        half = np.float32(-(n + 0.5) / (254 - (n + 0.5)))
        for low in (half, np.nextafter(half, -high), np.nextafter(half, high)):
            x = torch.tensor([low, 0, high])
            rounded, scale, zero = quantize(x)
            back = scale * (rounded.double() - zero)
            assert (back - x).abs().max() <= 0.5001 * scale, (n, low)


def test_zeros_have_a_scale():
    rounded, scale, zero = quantize(torch.zeros(2, 3))
    assert scale > 0
    assert scale * (rounded.float() - zero).abs().max() == 0


@needs_int8
def test_the_product_by_hand():
    """Numbers that are multiples of the steps: exact, with a scale for each output."""
    # s_n = 1 and 0.5, s = 0.5: x' - z = [100, -50, 4], [154, 0, -100]
    weight = torch.tensor([[127.0, 2.0, 0.0], [1.0, -63.5, 3.0]])
    bias = torch.tensor([10.0, -1.0])
    x = torch.tensor([[50.0, -25.0, 2.0], [77.0, 0.0, -50.0]])
    expected = torch.tensor(
        [[127 * 50 - 2 * 25 + 10.0, 50 + 63.5 * 25 + 6 - 1], [127 * 77 + 10.0, 77 - 150 - 1]]
    )
    linear = Int8Linear(weight, bias)
    torch.testing.assert_close(linear(x), expected, rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(linear(x[None])[0], expected, rtol=1e-6, atol=1e-4)
    residual = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch.testing.assert_close(linear.add(x, residual), expected + residual, rtol=1e-6, atol=1e-4)
    # gelu of large numbers: themselves, or 0
    torch.testing.assert_close(linear.gelu(x), expected.clamp(min=0), rtol=1e-6, atol=1e-4)


@needs_int8
def test_the_largest_sums_do_not_saturate():
    """As many products of the largest numbers as a transformer adds."""
    weight = torch.tensor([[127.0], [-127.0]]).repeat(1, 4096)
    x = torch.full((2, 4096), 254.0)
    expected = torch.tensor([127.0, -127.0]).repeat(2, 1) * 254 * 4096
    torch.testing.assert_close(Int8Linear(weight, torch.zeros(2))(x), expected)


@needs_int8
def test_a_layer_of_random_numbers_is_near_the_product_of_the_rounded_ones():
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(24, 48, generator=generator), torch.randn(7, 48, generator=generator)
    weight[3] = 0  # has no largest number
    rounded, scale, zero = quantize(x)
    expected = torch.zeros(7, 24, dtype=torch.float64)
    for n in range(24):
        step = max(weight[n].abs().max().item() / 127, 1e-30)
        for row in range(7):
            products = [
                (int(rounded[row, i]) - zero) * round(weight[n, i].item() / step) for i in range(48)
            ]
            expected[row, n] = scale * step * sum(products)
    product = Int8Linear(weight, torch.zeros(24))(x)
    torch.testing.assert_close(product.double(), expected, rtol=1e-5, atol=1e-5)
    assert (product - x @ weight.T).abs().max() > 1e-3, "nothing was rounded"


@needs_int8
def test_embeddings_and_scores_are_near_and_the_model_is_left(tiny, folders, sentences, pairs):
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    exact, rounded = (tiny.encode(sentences, p) for p in ("fp32", "int8_dynamic"))
    cosines = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1)
    cosines /= np.linalg.norm(rounded, axis=1)
    assert np.abs(exact - rounded).max() > 1e-3
    assert cosines.min() > 0.97
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(tensor, before[name])
    scorer = CrossEncoder.from_pretrained(folders[1])
    exact, rounded = (scorer.predict(pairs[:40], precision=p) for p in ("fp32", "int8_dynamic"))
    assert 0 < np.abs(exact - rounded).max() < 0.1


@needs_int8
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_an_embedding_that_is_not_finite(tiny, number):
    with torch.no_grad():
        tiny.transformer.embeddings.word_embeddings.weight[:, 3] = number
    with pytest.raises(
        InputError, match="embedding of text 0, 'a cat', is not finite in int8; use"
    ):
        tiny.encode(["a cat", "the dog"], "int8_dynamic")


@needs_int8
def test_the_layers_are_int8_whatever_the_number_of_tokens(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "sbert.models.encoder.copy_packed",
        lambda *given: seen.append(copy_packed(*given)) or seen[-1],
    )
    tiny.encode(["a"], "int8_dynamic")
    assert isinstance(seen[0].layers[0].output, Int8Linear)
    assert tiny.resolve_precision("auto") != torch.int8


# where there is none


def refused(call) -> str:
    with pytest.raises(InputError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_processor_without_it(tiny, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert refused(lambda: tiny.encode(["a"], "int8_dynamic")) == (
        "precision int8_dynamic: needs a CPU with AVX512-VNNI, and computes on cpu; use auto"
    )


def test_a_gpu(monkeypatch):
    said = refused(lambda: check_int8_products(torch.device("cuda")))
    assert said.endswith("needs a CPU with AVX512-VNNI, and computes on cuda; use auto")


@needs_int8
def test_a_model_without_it(tmp_path):
    tokenizer = mpnet_tokenizer()
    size = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = MPNetConfig(vocab_size=len(tokenizer), hidden_size=8, **size)
    MPNetModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = BiEncoder.from_pretrained(tmp_path, max_length=16)
    assert refused(lambda: model.encode(["a"], "int8_dynamic")) == (
        "precision int8_dynamic: needs the layers of BERT, without adapters (bert, roberta, "
        "xlm-roberta, camembert, electra); this is a model of type mpnet; use auto"
    )
    assert refused(lambda: check_int8(model.transformer))


def test_what_has_no_such_products():
    """The search, and training, whose options do not know it."""
    with pytest.raises(InputError, match="unknown value 'int8_dynamic'"):
        resolve_precision("int8_dynamic", torch.device("cpu"))
    for precision, of_search in (("int8_dynamic", "auto"), ("fp32", "fp32")):
        config = MineConfig(output="a.jsonl", model="m", precision=precision)
        assert config.search_precision == of_search
