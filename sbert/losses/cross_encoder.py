"""Losses of a cross-encoder: the logits of pairs in, a scalar out."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.errors import require
from sbert.losses.base import Loss, check_choice, lift_to_fp32

ScoreActivation = Literal["identity", "sigmoid"]


class PairLoss(Loss):
    """Base class of the losses of a cross-encoder.

    It is called as `loss(logits, labels)`, with logits of shape (B,) for one score a pair, (B, K)
    for K classes, or (B, N) for the N candidates of B queries.

    A new one defines `compute(logits, labels)`, the formula, which gets logits in fp32 or fp64, and
    whichever of `num_labels`, `activation`, `columns` and `target` differ from the defaults.

    Attributes:
        num_labels: number of logits that the model gives a pair.
        activation: what `CrossEncoder.predict` applies to the logits.
    """

    num_labels: int = 1
    activation: Literal["sigmoid", "softmax", "identity"] = "sigmoid"

    def split_outputs(self, outputs: Tensor, present: Tensor | None = None) -> Tensor:
        """The model's logits (B, K) as `forward` reads them: (B,) for one score a pair."""
        return outputs.squeeze(-1) if self.num_labels == 1 else outputs

    def forward(
        self, logits: Tensor, labels: Tensor | None = None, texts: Tensor | None = None
    ) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return self.compute(lift_to_fp32(logits), labels)


class BinaryCrossEntropyLoss(PairLoss):
    """-mean_i [y_i log p_i + (1 - y_i) log(1 - p_i)], p_i = sigmoid(logit_i), y_i in [0, 1].

    The usual loss of a cross-encoder for similarity (Augmented SBERT, arXiv 2010.08240, section
    3.1) and for binary labels. For y_i above 1 it has no lower bound, so training refuses such
    labels.
    """

    def compute(self, logits, labels):
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


class MSELoss(PairLoss):
    """mean_i (s_i - y_i)^2, s_i the score that `CrossEncoder.predict` returns.

    Regression on gold scores or on those of a teacher.

    Args:
        activation: identity takes the logit as the score, unbounded, as BERT's recipe for STS-B
            does; sigmoid keeps the score in [0, 1].
    """

    def __init__(self, activation: ScoreActivation = "identity"):
        super().__init__()
        self.activation = check_choice(self, "activation", activation, ScoreActivation)

    def compute(self, logits, labels):
        scores = logits.sigmoid() if self.activation == "sigmoid" else logits
        return F.mse_loss(scores, labels.to(logits.dtype))


class CrossEntropyLoss(PairLoss):
    """-mean_i log softmax(logits_i)[y_i], y_i in 0..K-1.

    Args:
        num_labels: number of classes K; 3 for natural language inference.

    Raises:
        InputError: fewer than 2 classes.
    """

    target = "class"
    activation = "softmax"

    def __init__(self, num_labels: int = 3):
        super().__init__()
        require(
            num_labels >= 2, f"CrossEntropyLoss.num_labels is {num_labels}; it must be 2 or more"
        )
        self.num_labels = num_labels

    def compute(self, logits, labels):
        return F.cross_entropy(logits, labels)


class LocalizedContrastiveLoss(PairLoss):
    """-mean_i log [exp s_i0 / sum_j exp s_ij], s_ij the logit of query i and its candidate j.

    Candidate 0 is the positive, the others are the query's own negatives (Gao, Dai and Callan 2021,
    arXiv 2101.08751, equation 2). Columns: query, positive, then one or more negatives; a row may
    have fewer than others. A missing candidate has the logit -inf, so weight 0.
    """

    columns = 3
    ragged = True
    target = None

    def split_outputs(self, outputs, present=None):
        """Logits of the P pairs present, row after row: (P, 1), (B, N) -> (B, N), else -inf."""
        logits = lift_to_fp32(outputs.squeeze(-1))
        return logits.new_full(present.shape, -torch.inf).masked_scatter(present, logits)

    def compute(self, logits, labels=None):
        return -logits.log_softmax(dim=-1)[:, 0].mean()
