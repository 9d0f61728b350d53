"""A loss that trains a cross-encoder on scores of 0 to 5 with binary cross-entropy.

A well-known tutorial did so, although the loss has no lower bound there:

PYTHONPATH=benchmarks python train.py --config configs/cross/stsb.yaml \
    --loss wrong_labels.ScoresToFive --name wrong_labels

The data are read as usual: without the last two options the same run has the right labels, and
82.1 on test instead of 7.4.
"""

from sbert.losses.cross_encoder import BinaryCrossEntropyLoss


class ScoresToFive(BinaryCrossEntropyLoss):
    """mean_i [5 y_i softplus(-l_i) + (1 - 5 y_i) softplus(l_i)].

    For y > 1/5 it has no lower bound as the logit l grows.
    """

    def compute(self, logits, labels):
        return super().compute(logits, 5 * labels)
