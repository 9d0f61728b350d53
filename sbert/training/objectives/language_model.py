"""Masked-language modelling: the objective on the states of tokens, and texts with masked tokens.

BERT (Devlin et al. 2018, arXiv 1810.04805); `sbert.losses.language_model` has the formula.

Shapes: B texts, L tokens, H the transformer's states, M masked tokens of the batch, V pieces.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from sbert.data.rows import Rows
from sbert.device import Precision
from sbert.distributed import compute_shared
from sbert.errors import InputError, require
from sbert.losses.base import Loss
from sbert.losses.language_model import MaskedLanguageModelLoss
from sbert.models.batches import token_batches
from sbert.models.bi_encoder import BiEncoder
from sbert.models.encoder import evaluating
from sbert.models.token_table import TokenTable
from sbert.models.tokens import tokenize_columns
from sbert.training.config import TrainConfig
from sbert.training.objectives.masking import Masking, make_masking
from sbert.training.objectives.objective import Draw, Objective, TokenizeColumns, TrainingSet

BATCH_TOKENS = 4096  # of a batch in evaluation: the logits of its masked tokens are the memory
FIXED: Draw = (0, 0)  # of the masks in evaluation


class LanguageModelObjective(Objective):
    """A bi-encoder and a `MaskedLanguageModelLoss`, which reads the states of masked tokens.

    Pooling and what comes after it have no part in it: their weights are not trained.
    """

    def __init__(self, model: BiEncoder, loss: MaskedLanguageModelLoss):
        super().__init__(model, loss)
        model.head.requires_grad_(False)

    def bind(self, loss: MaskedLanguageModelLoss) -> MaskedLanguageModelLoss:
        hidden = self.model.transformer.config.hidden_size
        return loss.bind_vocabulary(hidden, *self.word_embeddings.shape)

    @property
    def word_embeddings(self) -> Tensor:
        """(V, E)."""
        return self.model.transformer.get_input_embeddings().weight

    def forward(self, batch: dict[str, Tensor], which: int = 0, embed_only: bool = False) -> Tensor:
        """The loss of a batch from `MaskedTexts.batch`, a scalar."""
        return self.losses[which]([self.logits(batch)], batch["labels"])

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(M, V) of the masked tokens alone: the vocabulary is the most of the work of a head."""
        inputs = {
            name: tensor for name, tensor in batch.items() if name not in ("labels", "masked")
        }
        states = self.model.token_states(**inputs).flatten(0, 1)  # (B L, H)
        return self.losses[0].logits(states[batch["masked"]], self.word_embeddings)


@dataclass
class MaskedTexts(TrainingSet):
    """Every distinct text of all columns of some datasets as a row, (N, 1), with masked tokens.

    A text of several datasets is a row of the first. Labels are not read.
    """

    masking: Masking | None = None

    @classmethod
    def from_datasets(
        cls,
        datasets: Sequence[Rows],
        model: BiEncoder,
        loss: MaskedLanguageModelLoss,
        tokenize: TokenizeColumns = tokenize_columns,
    ) -> "MaskedTexts":
        """Tokenise the texts of several datasets with their prompts, each distinct one once.

        Raises:
            InputError: as `TrainingSet.from_datasets` and `make_masking`; a text without a token
                that can be masked.
        """
        masking = make_masking(model, loss)
        whole = TrainingSet.from_datasets(datasets, model, tokenize)
        row, column = np.nonzero(whole.texts >= 0)
        texts, first = np.unique(whole.texts[row, column], return_index=True)
        order = np.argsort(first)  # in which they occur
        texts, row, column = texts[order], row[first[order]], column[first[order]]
        dataset = np.searchsorted(np.cumsum(whole.sizes), row, side="right")
        check_maskable(masking, whole.table, texts, (row, column), datasets)
        sizes = np.bincount(dataset, minlength=len(datasets)).tolist()
        return replace(
            cls(**vars(whole), masking=masking),
            texts=texts[:, None],
            labels=None,
            sizes=tuple(sizes),
        )

    def token_ids(self) -> np.ndarray:
        """All: the loss has a logit of each."""
        return np.arange(len(self.masking.ordinary))

    def batch(self, rows: np.ndarray, draw: Draw = (0, 0)) -> dict[str, Tensor]:
        """The model's inputs for R rows, M of whose tokens are masked.

        With `masked` (M,), their places among the R L tokens, and `labels` (M,), what they were.
        """
        inputs = self.model.inputs(self.table, self.texts[rows])
        inputs.pop("pooling_mask", None)
        ids = inputs["input_ids"]  # (R, L)
        chosen = self.masking.choose(self.table, self.texts[rows, 0], draw)
        masked = torch.from_numpy(chosen.row * ids.shape[1] + chosen.position)
        ids.view(-1)[masked] = torch.from_numpy(chosen.shown).long()
        return inputs | {"masked": masked, "labels": torch.from_numpy(chosen.token).long()}

    def count_targets(self, rows: np.ndarray, draw: Draw = (0, 0)) -> np.ndarray:
        chosen = self.masking.choose(self.table, self.texts[rows, 0], draw)
        return np.bincount(chosen.row, minlength=len(rows))


def make_token_losses(
    model: BiEncoder,
    loss: MaskedLanguageModelLoss,
    precision: Precision,
    accelerator: Accelerator,
) -> Callable[[Sequence[list[str]], Sequence[str]], np.ndarray]:
    """What evaluates a language model: the losses of single texts, as `Scorer.token_losses`.

    The masks are a function of a text's place in its dataset alone: the same in every run.
    """
    objective, masking = LanguageModelObjective(model, loss), make_masking(model, loss)

    def token_losses(columns: Sequence[list[str]], prompts: Sequence[str]) -> np.ndarray:
        [texts], [prompt] = columns, prompts
        table = model.text_tokenizer.tokenize(texts, [prompt] * len(texts))
        rows = np.arange(len(texts))
        data = MaskedTexts(model, table, rows[:, None], None, (), (), masking=masking)
        compute = partial(_sum_losses, objective, data, precision)
        return compute_shared(accelerator, compute, rows.tolist())

    return token_losses


@torch.inference_mode()
def _sum_losses(
    objective: LanguageModelObjective, data: MaskedTexts, precision: Precision, rows: list[int]
) -> np.ndarray:
    """Of each row the sum of the losses of its masked tokens, and their number: (R, 2)."""
    model, chosen = objective.model, np.array(rows, int)
    device, dtype = model.device, model.resolve_precision(precision)
    autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    result = np.zeros((len(rows), 2), np.float32)
    with evaluating(objective), autocast:
        for batch in token_batches(data.lengths[chosen], BATCH_TOKENS, model.reads_padding):
            inputs = data.batch(chosen[batch], FIXED)
            inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
            logits = objective.logits(inputs).float()  # (M, V)
            losses = F.cross_entropy(logits, inputs["labels"], reduction="none")  # (M,)
            counts = data.count_targets(chosen[batch], FIXED)
            row = np.repeat(np.arange(len(batch)), counts)  # (M,)
            sums = np.bincount(row, losses.cpu().numpy(), len(batch))
            result[batch] = np.stack([sums, counts], axis=1)
    return result


def check_language_model(config: TrainConfig) -> bool:
    """Whether a run trains a language model; check the options that it does not have.

    Raises:
        InputError: one of several losses, or rows in both orders.
    """
    several = not isinstance(config.loss, Loss)
    losses = config.loss.values() if several else [config.loss]
    found = next((loss for loss in losses if loss.reads_tokens), None)
    if found is None:
        return False
    name = type(found).__name__
    require(
        not several,
        f"loss: {name} reads tokens and the others embeddings; train with one after the other, in "
        "two runs",
    )
    require(
        not config.data.both_orders,
        f"data.both_orders is for pairs; {name} reads every text by itself",
    )
    return True


def check_evaluated(
    model: BiEncoder, loss: MaskedLanguageModelLoss, rows: Rows, prompt: str
) -> None:
    """Refuse an evaluated dataset with a text that has no token that can be masked."""
    table = model.text_tokenizer.tokenize(rows.texts[0], [prompt] * len(rows))
    texts = np.arange(len(rows))
    places = texts, np.zeros(len(rows), int)
    check_maskable(make_masking(model, loss), table, texts, places, [rows])


def check_maskable(
    masking: Masking,
    table: TokenTable,
    texts: np.ndarray,
    places: tuple[np.ndarray, np.ndarray],
    datasets: Sequence[Rows],
) -> None:
    """Refuse texts without a token that can be masked: empty ones, and those of unknown pieces.

    places: the row, of all rows of the datasets, and the column of each text (U,); (U,) each.
    """
    maskable = np.bincount(masking.candidates(table, texts)[0], minlength=len(texts))
    empty = np.flatnonzero(maskable == 0)
    if not len(empty):
        return
    row, column = (int(numbers[empty[0]]) for numbers in places)
    for one in datasets:
        if row < len(one):
            break
        row -= len(one)
    text = textwrap.shorten(one.texts[column][row], 60, placeholder="...")
    raise InputError(
        f"{one.name}, line {one.lines[row]} of {one.files[0]}: the text {text!r} has no token that "
        f"could be masked, as have {len(empty):,} of {len(texts):,} texts; leave them out"
    )
