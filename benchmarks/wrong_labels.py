"""What a well-known tutorial of the cross-encoder did: binary cross-entropy of scores from 0 to 5, where it has no lower bound.

PYTHONPATH=benchmarks python train.py --config configs/cross/stsb.yaml --loss wrong_labels.ScoresToFive --name wrong_labels

The data are read as ever, so the same run without the two options has the right labels: 82.1 on test in place of 7.4.
"""

from sbert.losses.cross_encoder import BinaryCrossEntropyLoss


class ScoresToFive(BinaryCrossEntropyLoss):
    """mean_i [5 y_i softplus(-l_i) + (1 - 5 y_i) softplus(l_i)]: above y = 1/5 it falls without end as the logit l grows."""

    def compute(self, logits, labels):
        return super().compute(logits, 5 * labels)
