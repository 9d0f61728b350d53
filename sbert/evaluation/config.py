"""The options of `evaluate.py`."""

from dataclasses import dataclass, field

from sbert.data.config import DatasetConfig
from sbert.device import Precision

DEPTH = 100  # documents that are found for each query: what the metrics of retrieval look at


@dataclass
class EvaluateConfig:
    """Evaluate one bi-encoder or cross-encoder on many datasets.

    Args:
        model: a run's best/, any folder with an encoder, or a name on the model hub.
        data: datasets, by name alone or with all their options.
        split: of the datasets given by name alone.
        pooling: as for training.
        layer: as for training.
        max_length: as for training.
        symmetric: score every pair in both orders and take the mean; a cross-encoder's option.
        reranker: a cross-encoder that re-ranks what the model retrieves; for retrieval datasets.
        depth: how many retrieved documents of each query it re-ranks.
        precision: of products: auto is bf16 where the hardware multiplies it natively.
        baseline: a second model, to be compared on the same rows; as saved: pooling, layer and max_length are of the model alone.
        seen: training data of the model, as data, names as of their split train: how much of each dataset stands in it?
        resamples: of the bootstrap, for intervals and comparisons; 0 for none.
        seed: of the resamples.
        output: write a report here as well: .md a page to paste, with figures beside it, .json the same facts.
    """

    model: str
    data: list[str | DatasetConfig]
    split: str = "test"
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    symmetric: bool = False
    reranker: str | None = None
    depth: int = DEPTH
    precision: Precision = "auto"
    baseline: str | None = None
    seen: list[str | DatasetConfig] = field(default_factory=list)
    resamples: int = 10_000
    seed: int = 0
    output: str | None = None
