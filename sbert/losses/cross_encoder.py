"""Losses of a cross-encoder: the logits of pairs in, one scalar out.

A loss is called as `loss(logits, labels)`: logits are (B,) for one score a pair, (B, K) for K classes, (B, N) for the N
candidates of B queries; labels (B,) or None. `num_labels` is how many logits the model gives a pair, and `activation` what
`predict` makes of them. Half types are lifted to fp32 and autocast is off inside.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.errors import InputError
from sbert.losses.base import Loss, lift_to_fp32


class PairLoss(Loss):
    """Base of the losses that train a cross-encoder."""

    num_labels: int = 1
    activation: Literal["sigmoid", "softmax", "identity"] = "sigmoid"

    def arrange(self, outputs: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, K) logits as they are, (B, 1) as (B,)."""
        return outputs.squeeze(-1) if self.num_labels == 1 else outputs

    def forward(
        self, logits: Tensor, labels: Tensor | None = None, texts: Tensor | None = None
    ) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return self.compute(lift_to_fp32(logits), labels)


class BinaryCrossEntropyLoss(PairLoss):
    """-mean_i [y_i log p_i + (1 - y_i) log(1 - p_i)], p = sigmoid(logit), y in [0, 1].

    The usual loss of a cross-encoder for similarity (Augmented SBERT, section 3.1) and for yes or no. Its labels must lie in
    [0, 1]: for y above 1 it has no lower bound, and the training loop refuses such data.
    """

    def compute(self, logits, labels):
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


class MSELoss(PairLoss):
    """mean_i (score_i - y_i)^2, the score being what `predict` gives: regression on gold or on a teacher's scores.

    Args:
        activation: identity: the score is the logit, unbounded (as in BERT's own STS-B recipe); sigmoid: it lies in [0, 1].
    """

    def __init__(self, activation: Literal["identity", "sigmoid"] = "identity"):
        super().__init__()
        if activation not in ("identity", "sigmoid"):
            raise InputError(f"MSELoss: activation {activation}: known are identity and sigmoid")
        self.activation = activation

    def compute(self, logits, labels):
        scores = logits.sigmoid() if self.activation == "sigmoid" else logits
        return F.mse_loss(scores, labels.to(logits.dtype))


class CrossEntropyLoss(PairLoss):
    """-mean_i log softmax(logits_i)[y_i] over K classes, y_i in 0..K-1.

    Args:
        num_labels: K; 3 for natural language inference.
    """

    target = "class"
    activation = "softmax"

    def __init__(self, num_labels: int = 3):
        super().__init__()
        if num_labels < 2:
            raise InputError(
                f"CrossEntropyLoss: num_labels is {num_labels}; a classification needs 2 or more"
            )
        self.num_labels = num_labels

    def compute(self, logits, labels):
        return F.cross_entropy(logits, labels)


class LocalizedContrastiveLoss(PairLoss):
    """-mean_i log [exp s_i0 / sum_j exp s_ij]: the positive of query i (j = 0) against its own negatives (Gao, Dai and
    Callan 2021, arXiv 2101.08751, equation 2), as many as the row has.

    Reads rows of query, positive, negative and further negatives. A row whose later negatives are missing has fewer
    candidates; a missing one has the logit -inf, and so weight 0.
    """

    columns = 3
    ragged = True
    target = None

    def arrange(self, outputs, there=None):
        """Logits (P, 1) of the pairs that are there (B, N), row after row, as (B, N) with -inf elsewhere."""
        logits = lift_to_fp32(outputs.squeeze(-1))
        return logits.new_full(there.shape, -torch.inf).masked_scatter(there, logits)

    def compute(self, logits, labels=None):
        return -logits.log_softmax(dim=-1)[:, 0].mean()
