"""Masked-language modelling: the head of BERT, and its loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import require
from sbert.losses.base import Loss

INITIAL_STD = 0.02  # of new weights, as BERT draws them


class MaskedLanguageModelLoss(Loss):
    """mean_m -log softmax(E h_m + b)[t_m], over the masked tokens m of a batch.

    BERT (Devlin et al. 2018, arXiv 1810.04805, section 3.1 and appendix A.1). t_m is the token that
    was masked, E (V, E) are the encoder's own word embeddings, V pieces of E numbers, and
    h_m = LayerNorm(GELU(W s_m + c)) of the last hidden state s_m (H,). W, c, b and the norm are
    learnt. The mean is over the masked tokens of the whole batch.

    It trains the encoder below the pooling, on every distinct text of all columns of the training
    data, whatever their task; labels are not read. The head is no part of the saved encoder.

    Args:
        mask_share: the share of a text's ordinary tokens that are to be predicted, rounded, and at
            least one. Of these 80 % are replaced by the mask token and 10 % by a random one.
        whole_words: choose whole words until their tokens reach that share, instead of tokens.

    Raises:
        InputError: a share outside (0, 1).
    """

    columns = 1
    ragged = True
    target = None
    reads_tokens = True

    def __init__(self, mask_share: float = 0.15, whole_words: bool = False):
        super().__init__()
        require(
            0 < mask_share < 1,
            f"MaskedLanguageModelLoss.mask_share is {mask_share:g}; it must lie between 0 and 1",
        )
        self.mask_share = mask_share
        self.whole_words = whole_words
        self.dense: nn.Linear | None = None

    def bind_vocabulary(self, hidden: int, pieces: int, size: int) -> "MaskedLanguageModelLoss":
        """Create the head for states of `hidden` numbers, and `pieces` embeddings of `size`."""
        if self.dense is None:
            self.dense = nn.Linear(hidden, size)
            nn.init.normal_(self.dense.weight, std=INITIAL_STD)
            nn.init.zeros_(self.dense.bias)
            self.norm = nn.LayerNorm(size)
            self.bias = nn.Parameter(torch.zeros(pieces))
        return self

    def restore(self, weights, dim):
        size, hidden = weights["dense.weight"].shape
        self.bind_vocabulary(hidden, len(weights["bias"]), size).load_state_dict(weights)
        return self

    def logits(self, states: Tensor, embeddings: Tensor) -> Tensor:
        """States (M, H) and word embeddings (V, E) -> (M, V), in the type of autocast."""
        hidden = self.norm(F.gelu(self.dense(states)))  # (M, E)
        return F.linear(hidden, embeddings, self.bias)

    def compute(self, columns, labels):
        """Of one column, the logits (M, V), and the tokens (M,)."""
        return F.cross_entropy(columns[0], labels)
