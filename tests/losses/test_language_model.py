"""The head and the loss of masked-language modelling, against a plain loop and transformers."""

import math

import pytest
import torch
from loss_checks import defined_losses
from tiny_models import SIZE
from transformers import BertConfig, BertForMaskedLM

from sbert import InputError
from sbert.losses import MaskedLanguageModelLoss, MatryoshkaLoss

H, E, V, M = 5, 3, 11, 7


def batch():
    """States (M, H), word embeddings (V, E) and tokens (M,), in fp64."""
    generator = torch.Generator().manual_seed(0)
    states, embeddings = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((M, H), (V, E))
    )
    return states, embeddings, torch.tensor([0, 3, 10, 3, 7, 1, 4])


def bound() -> MaskedLanguageModelLoss:
    torch.manual_seed(1)
    loss = MaskedLanguageModelLoss().bind_vocabulary(H, V, E)
    for weight in loss.parameters():  # of zeros and ones nobody would miss one
        torch.nn.init.normal_(weight)
    return loss.double()


def plain(loss, states, embeddings, tokens) -> float:
    """The formula, number by number."""
    weights = {name: weight.tolist() for name, weight in loss.named_parameters()}
    total = 0.0
    for state, token in zip(states.tolist(), tokens.tolist(), strict=True):
        hidden = []
        for row, bias in zip(weights["dense.weight"], weights["dense.bias"], strict=True):
            x = sum(a * b for a, b in zip(row, state, strict=True)) + bias
            hidden.append(x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
        mean = sum(hidden) / E
        variance = sum((x - mean) ** 2 for x in hidden) / E
        scale = zip(weights["norm.weight"], weights["norm.bias"], strict=True)
        hidden = [
            (x - mean) / math.sqrt(variance + 1e-5) * w + b
            for x, (w, b) in zip(hidden, scale, strict=True)
        ]
        logits = [
            sum(a * b for a, b in zip(hidden, piece, strict=True)) + bias
            for piece, bias in zip(embeddings.tolist(), weights["bias"], strict=True)
        ]
        total += math.log(sum(map(math.exp, logits))) - logits[token]
    return total / len(tokens)


def test_equals_the_plain_loop():
    loss, (states, embeddings, tokens) = bound(), batch()
    value = loss([loss.logits(states, embeddings)], tokens)
    assert value.item() == pytest.approx(plain(loss, states, embeddings, tokens), rel=1e-12)


def test_equals_the_head_of_bert():
    """transformers' BertForMaskedLM with the same weights, its own epsilon aside."""
    config = BertConfig(vocab_size=V, layer_norm_eps=1e-5, hidden_act="gelu", **SIZE)
    model = BertForMaskedLM(config).eval()
    theirs = model.cls.predictions
    loss = MaskedLanguageModelLoss().bind_vocabulary(32, V, 32)
    torch.nn.init.normal_(theirs.bias)
    pairs = {
        loss.dense.weight: theirs.transform.dense.weight,
        loss.dense.bias: theirs.transform.dense.bias,
        loss.norm.weight: theirs.transform.LayerNorm.weight,
        loss.norm.bias: theirs.transform.LayerNorm.bias,
        loss.bias: theirs.bias,
    }
    for own, other in pairs.items():
        own.data.copy_(other.data)
    ids = torch.randint(V, (3, 6))
    labels = torch.where(torch.rand(3, 6) < 0.5, ids, -100)
    expected = model(input_ids=ids, labels=labels).loss
    states = model.bert(ids).last_hidden_state[labels >= 0]
    embeddings = model.get_input_embeddings().weight
    value = loss([loss.logits(states, embeddings)], labels[labels >= 0])
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


def test_gradcheck():
    """With respect to the states, the word embeddings that the decoder is tied to, and the head."""
    loss, (states, embeddings, tokens) = bound(), batch()
    names = [name for name, _ in loss.named_parameters()]

    def value(states, embeddings, *weights):
        def call(self, states, embeddings):
            return self([self.logits(states, embeddings)], tokens)

        wrapper = torch.nn.Module()
        wrapper.loss = loss
        wrapper.forward = lambda *inputs: call(loss, *inputs)
        given = {f"loss.{name}": w for name, w in zip(names, weights, strict=True)}
        return torch.func.functional_call(wrapper, given, (states, embeddings))

    weights = [weight.detach().clone() for weight in loss.parameters()]
    inputs = [x.requires_grad_() for x in (states, embeddings, *weights)]
    assert torch.autograd.gradcheck(value, inputs)


def test_logits_in_autocast_and_the_loss_in_fp32():
    loss, (states, embeddings, tokens) = bound().float(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits = loss.logits(states.float(), embeddings.float())
        value = loss([logits], tokens)
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    assert torch.equal(value, loss([logits.float()], tokens))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_outside_0_and_1(share):
    with pytest.raises(InputError) as error:
        MaskedLanguageModelLoss(mask_share=share)
    said = f"MaskedLanguageModelLoss.mask_share is {share:g}; it must lie between 0 and 1"
    assert str(error.value) == said


def test_it_has_no_embeddings_of_several_sizes():
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(MaskedLanguageModelLoss(), dims=[8])
    said = "MatryoshkaLoss.loss: MaskedLanguageModelLoss reads tokens, not embeddings"
    assert str(error.value) == said


def test_every_loss_of_the_file_is_tested():
    assert defined_losses("language_model") == {MaskedLanguageModelLoss}
