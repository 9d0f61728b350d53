"""Strategy kde: keep labelled pairs so that their scores are distributed like gold's.

Augmented SBERT (arXiv 2010.08240), section 3.1, "kernel density estimation".
"""

import numpy as np
from scipy.stats import gaussian_kde

from sbert.errors import InputError


def score_density(scores: np.ndarray, name: str) -> gaussian_kde:
    """The Gaussian kernel density of scores (P,), with the bandwidth of Scott's rule.

    Raises:
        InputError: no scores, or all are equal. `name` is the name of the data in the message.
    """
    if len(np.unique(scores)) > 1:
        return gaussian_kde(scores)
    problem = f"there are no {name} scores"
    if len(scores):
        problem = f"all {len(scores):,} {name} scores are {scores[0]:g}"
    raise InputError(f"strategy kde: {problem}, so they have no density; use another strategy")


def accept_by_density(gold: np.ndarray, silver: np.ndarray, seed: int) -> np.ndarray:
    """Which pairs of silver scores s (P,) to keep, bool (P,).

    Each is kept with probability min(1, F_gold(s) / F_silver(s)), F the kernel densities. So the
    density of the scores kept is, up to a factor, the lower of the two.
    """
    gold = np.round(gold.astype(np.float64), 3)
    silver = np.round(silver.astype(np.float64), 3)
    # three digits: the densities are computed at a thousand scores at most, not at all P
    values, index = np.unique(silver, return_inverse=True)
    ratio = score_density(gold, "gold")(values) / score_density(silver, "silver")(values)
    return np.random.default_rng([seed, 2]).random(len(silver)) < ratio[index]
