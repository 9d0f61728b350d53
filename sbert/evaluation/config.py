"""The options of `evaluate.py`."""

from dataclasses import dataclass, field

from jsonargparse.typing import NonNegativeInt, PositiveInt, restricted_number_type

from sbert.data.config import DatasetConfig
from sbert.device import InferencePrecision
from sbert.losses.base import Loss

# documents retrieved for each query: as far as the metrics of retrieval look
RETRIEVAL_DEPTH = 100

ResampleCount = restricted_number_type(
    "ResampleCount", int, [("==", 0), (">=", 2)], join="or", docstring="Number of resamples"
)


@dataclass
class EvaluateConfig:
    """Evaluate one bi-encoder or cross-encoder on many datasets.

    Args:
        model: best/ of a run, any folder with an encoder, or a name on the model hub.
        data: datasets, by name or with all their options.
        split: of the datasets that are given by name.
        pooling: of a bi-encoder, as for training; null for the one it was saved with.
        layer: the hidden layer that is pooled, as for training.
        max_length: tokens a text (of a cross-encoder: a pair) keeps; null for the saved setting.
        prompts: of a bi-encoder, texts that are put before others, by name, such as {query:
            "query: ", document: "passage: "}; null for those of its folder. Re-ranking and
            retrieval use the query and document prompts, other tasks the default one, unless a
            dataset names its own.
        default_prompt_name: the name of the default prompt; null for the one of its folder, if any.
        truncate_dim: of a bi-encoder, the first numbers of each embedding that are kept; several
            sizes for a table of all, where the other tables are of the first.
        loss: the class of the trained head, for NLI, where it is one of your own: my_losses.MyLoss.
            Its module is imported because you name it; what a model folder names is not.
        symmetric: of a cross-encoder, average the scores of both orders of each pair.
        reranker: a cross-encoder that re-ranks what the model retrieves; for retrieval datasets.
        depth: how many retrieved documents of each query are re-ranked.
        precision: of matrix products; auto is bf16 where the hardware multiplies it natively, fp16
            on older CUDA devices, fp32 elsewhere; int8_dynamic is for CPUs with AVX512-VNNI and
            without bf16, at some loss.
        baseline: a second model to compare with on the same rows. It is evaluated as it was saved:
            pooling, layer, max_length, prompts, default_prompt_name and truncate_dim apply to the
            model alone.
        teacher: a bi-encoder whose embeddings the model has learnt: pairs also have the negative
            mean squared error of the second texts' embeddings to the teacher's of the first.
        teacher_prompt: put before each text of the teacher; null: its default prompt, if any.
        seen: training data of the model, given like data, names with the split train. Counts how
            much of each dataset it contains, and scores the rest.
        resamples: of the bootstrap, for intervals and comparisons; 10,000 is usual, 0 for none.
        seed: of the resamples.
        output: also write a report here; .md for a page with figures beside it, .json for the same
            facts, with the scores of all rows beside it in .scores.safetensors.
    """

    model: str
    data: list[str | DatasetConfig]
    split: str = "test"
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None
    truncate_dim: list[PositiveInt] = field(default_factory=list)
    loss: type[Loss] | None = None
    symmetric: bool = False
    reranker: str | None = None
    depth: PositiveInt = RETRIEVAL_DEPTH
    precision: InferencePrecision = "auto"
    baseline: str | None = None
    teacher: str | None = None
    teacher_prompt: str | None = None
    seen: list[str | DatasetConfig] = field(default_factory=list)
    resamples: ResampleCount = 10_000
    seed: NonNegativeInt = 0
    output: str | None = None
