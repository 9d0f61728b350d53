"""Word embeddings whose rows are trained where they occur, against an embedding trained whole."""

import json

import numpy as np
import pytest
import torch
from families import FAMILIES, write_encoder
from family_checks import TEXTS
from safetensors.torch import load_file
from torch import nn

from sbert import BiEncoder
from sbert.models.active_embedding import ActiveEmbedding
from sbert.training.config import OptimConfig
from sbert.training.objectives.trained import leave_out_idle_embeddings
from sbert.training.optimizer import make_optimizer

NAMES = "BERT", "XLM-R", "MPNet", "ALBERT", "DeBERTa", "Longformer", "XLNet", "Qwen2", "T5", "Gemma"
KEPT = ("T5", "Gemma")  # its weight has two names; its class scales what it looks up
CHOSEN = [family for family in FAMILIES if family.name in NAMES]


def active_of(embedding: nn.Embedding, ids: list[int]) -> ActiveEmbedding:
    occurs = torch.zeros(embedding.num_embeddings, dtype=torch.bool)
    occurs[ids] = True
    return ActiveEmbedding(embedding, occurs)


def test_lookup_and_whole():
    embedding = nn.Embedding(6, 2, padding_idx=4)
    active = active_of(embedding, [1, 3, 4])
    ids = torch.tensor([[3, 1, 4], [1, 1, 3]])
    assert torch.equal(active(ids), embedding(ids))
    assert active.weight.shape == (3, 2)
    assert active.idle.shape == (3, 2)
    assert torch.equal(active.whole().weight, embedding.weight)
    assert active.whole().padding_idx == 4
    with torch.no_grad():
        active.scale.fill_(0.5)
        active.weight += 1
    rows = embedding.weight.detach()
    expected = [rows[0] / 2, rows[1] + 1, rows[2] / 2, rows[3] + 1, rows[4] + 1, rows[5] / 2]
    assert torch.equal(active.whole().weight, torch.stack(expected))


def test_a_row_that_was_left_out_is_not_looked_up():
    with pytest.raises(IndexError):
        active_of(nn.Embedding(6, 2), [1, 3])(torch.tensor([2]))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_adamw_gives_what_it_gives_all_rows(weight_decay):
    """Twenty steps at falling rates in fp64, some without a row that occurs, with padding."""
    torch.manual_seed(1)
    whole = nn.Embedding(9, 4, padding_idx=0).double()
    nn.init.normal_(whole.weight)  # the padding, too
    start, rates = whole.weight.detach().clone(), [0.1 * (1 - step / 20) for step in range(20)]
    active = active_of(whole, [0, 2, 5, 7])
    assert active.scale.dtype == torch.float64
    for module in (whole, active):
        optimizer = make_optimizer(
            module, OptimConfig(weight_decay=weight_decay), torch.device("cpu")
        )
        for step, rate in enumerate(rates):
            for group in optimizer.param_groups:
                group["lr"] = rate
            ids = torch.tensor([[2, 0, 5], [7, 2, 0]] if step % 3 else [[5, 0, 0]])
            (module(ids).sin() * torch.arange(4) * (1 + step)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(active.whole().weight, whole.weight.detach(), rtol=1e-14, atol=0)
    factor = np.prod([1 - rate * weight_decay for rate in rates])
    idle = [1, 3, 4, 6, 8]
    torch.testing.assert_close(whole.weight[idle].detach(), factor * start[idle])
    torch.testing.assert_close(whole.weight[0].detach(), factor * start[0])
    assert active.scale.item() == pytest.approx(factor, rel=1e-14)


def test_nothing_is_kept_of_rows_that_are_left_out():
    active = active_of(nn.Embedding(100, 4), [1, 2])
    optimizer = make_optimizer(active, OptimConfig(), torch.device("cpu"))
    active(torch.tensor([1])).sum().backward()
    optimizer.step()
    assert active.idle.grad is None
    moments = [t for state in optimizer.state.values() for t in state.values() if t.ndim]
    assert sum(t.numel() for t in moments) == 2 * (2 * 4 + 1)


class Trained(nn.Module):
    """What `leave_out_idle_embeddings` is given."""

    def __init__(self, model: BiEncoder):
        super().__init__()
        self.model = model


@pytest.mark.parametrize("family", CHOSEN, ids=lambda family: family.name)
def test_families(family, tmp_path):
    """The same embeddings, also of texts with other tokens, and the same folder when it is saved.

    Where the embedding is kept as it is, too.
    """
    folder = write_encoder(family, tmp_path / "start")
    model = BiEncoder.from_pretrained(folder, family.pooling)
    before, fingerprint = model.encode(TEXTS, precision="fp32"), model.fingerprint
    model.save_pretrained(tmp_path / "before")
    table = model.text_tokenizer.tokenize(TEXTS[1:2])
    inputs = model.inputs(table, np.array([[0]]))
    expected = model(**inputs)
    leave_out_idle_embeddings(Trained(model), [table.ids, model.text_tokenizer.added_ids])
    active = model.transformer.get_input_embeddings()
    assert isinstance(active, ActiveEmbedding) == (family.name not in KEPT)
    found = model(**inputs)
    assert torch.equal(found, expected)
    if family.name not in KEPT:
        found.square().sum().backward()
        assert active.weight.grad.abs().sum() > 0
        assert active.scale.grad.item() == 0
    np.testing.assert_array_equal(model.encode(TEXTS, precision="fp32"), before)
    assert model.fingerprint == fingerprint
    model.save_pretrained(tmp_path / "after")
    assert model.transformer.get_input_embeddings() is active
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    configs = [json.loads((tmp_path / n / "config.json").read_text()) for n in ("before", "after")]
    assert configs[0] == configs[1]
