"""The options of `train.py`: the model, the data, the loss, the optimiser, the loop."""

import math
from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import OpenUnitInterval, PositiveInt, restricted_number_type

from sbert.atomic import check_run_name
from sbert.data.config import DatasetConfig
from sbert.device import Precision
from sbert.losses import Loss
from sbert.models.config import LoraConfig

SEEDS = 2**32  # NumPy's global generator takes the seeds below
Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", SEEDS)])
Positive = restricted_number_type("Positive", float, [(">", 0), ("<", math.inf)])
NotNegative = restricted_number_type("NotNegative", float, [(">=", 0), ("<", math.inf)])
BelowOne = restricted_number_type("BelowOne", float, [(">=", 0), ("<", 1)])


@dataclass
class ModelConfig:
    """The encoder that training starts from.

    Args:
        path: a model folder, such as the best/ of another run, or a name on the model hub.
        pooling: cls, mean, max, mean_sqrt_len, weighted_mean, last_token, or a list of them;
            null: as saved in the folder, or mean. Of a bi-encoder.
        layer: the hidden layer that is pooled: -1 for the last, -2 for the second to last. Of a
            bi-encoder.
        dense: end in a linear layer of this many outputs, drawn from loop.seed, after the pooling
            and before a Normalize that the folder ends in. Of a bi-encoder.
        max_length: tokens kept of a text (of a cross-encoder: of a pair); null: as saved.
        prompts: texts that are put before others, by name, such as {query: "query: ", document:
            "passage: "}; they are saved with the model. null: as saved. Of a bi-encoder; the
            option prompts of a dataset says which it uses.
        default_prompt_name: the prompt of the datasets that name none, but for re-ranking and
            retrieval, which use the query and document prompts; null: as saved, if any.
        new_head: initialise the last layer of a cross-encoder although the folder has one.
        lora: train low-rank updates of the weights instead of the weights; null: train in full.
            Needs peft.
        freeze: parts of the encoder that are not trained, by the start of their weights' names:
            [embeddings, encoder.layer.0].
        reinitialize: parts of the encoder that are drawn anew from loop.seed before training, by
            the start of their weights' names, such as [encoder.layer.5]; [all] for the whole
            encoder. They are drawn as its family draws the weights of a new model.
    """

    path: str
    pooling: str | list[str] | None = None
    layer: int = -1
    dense: PositiveInt | None = None
    max_length: int | None = None
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None
    new_head: bool = False
    lora: LoraConfig | None = None
    freeze: list[str] = field(default_factory=list)
    reinitialize: list[str] = field(default_factory=list)


@dataclass
class DataConfig:
    """The datasets of a run.

    Args:
        train: the training data; several datasets are mixed, in proportion to their weights if
            they have any.
        dev: evaluated during training; the model with the highest mean of their main metrics is
            kept as best/.
        test: evaluated before training and with the best model, and used for nothing else.
        held_out: datasets whose texts are not to be trained on: a training row that has one of them
            is left out and counted. Case, punctuation and spaces make no difference, and labels are
            not read.
        distinct: leave out training rows that have the texts of an earlier row, whatever their
            labels, and count them.
        both_orders: train on every pair in both orders, for scores that do not depend on the order.
        token_tables: the folder in which the tokens of large training data (from 200,000 texts on)
            are kept, for all processes and for further runs; null: token_tables in the folder of
            all runs.
        mix: proportional: every row once an epoch, or as the weights say; round_robin: the datasets
            take turns, batch by batch, as many of each. A batch is of one dataset in round_robin
            and where each dataset has a loss of its own, otherwise of all of them.
    """

    train: list[DatasetConfig]
    dev: list[DatasetConfig] = field(default_factory=list)
    test: list[DatasetConfig] = field(default_factory=list)
    held_out: list[DatasetConfig] = field(default_factory=list)
    distinct: bool = False
    both_orders: bool = False
    token_tables: str | None = None
    mix: Literal["proportional", "round_robin"] = "proportional"


@dataclass
class OptimConfig:
    """AdamW, with a learning rate that warms up and then decays.

    Args:
        lr: the peak learning rate.
        batch_size: rows per update in all, whatever the number of processes and of parts: neither
            changes the result.
        batch_tokens: for MaskedLanguageModelLoss, tokens per update at most, padding included,
            instead of batch_size.
        accumulate: parts in which each process computes its share of a batch, to save memory.
        epochs: passes over the training data; may be a fraction.
        steps: number of updates, instead of epochs.
        warmup: updates in which the learning rate rises from 0: below 1 a share of all updates,
            from 1 on their number.
        schedule: after the warm-up: linear or cosine decay to 0, or constant.
        weight_decay: of weight matrices; biases, LayerNorm weights and scalars never decay.
        betas: the decay rates of AdamW's two moving averages.
        eps: added to the denominator of AdamW's update.
        max_grad_norm: gradients are scaled down to this Euclidean norm; 0 for no limit.
        word_embeddings: which are trained; auto: where the training data has at most half of the
            vocabulary, only its tokens. The others get their weight decay, which is all that AdamW
            gives weights without gradient: the same result, in less time and memory.
    """

    lr: Positive = 2e-5
    batch_size: PositiveInt = 16
    batch_tokens: PositiveInt | None = None
    accumulate: PositiveInt = 1
    epochs: Positive = 1
    steps: PositiveInt | None = None
    warmup: NotNegative = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: NotNegative = 0.01
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    max_grad_norm: NotNegative = 1.0
    word_embeddings: Literal["auto", "all"] = "auto"


@dataclass
class LoopConfig:
    """The training loop. A step is one update of the optimiser.

    Args:
        seed: of new weights (a loss head, a cross-encoder's last layer, model.dense), dropout and
            the order of the rows.
        precision: of matrix products; auto is bf16 where the hardware multiplies it natively, fp16
            on older CUDA devices, fp32 elsewhere. Weights and losses are always fp32.
        gradient_checkpointing: compute the layers a second time in the backward pass instead of
            keeping their intermediate results: less memory, more time, the same gradients.
        compile: torch.compile the transformer, which takes about a minute at the start; for GPUs:
            steps on a CPU were slower with it.
        group_by_length: batches of rows of similar length, which have less padding.
        evaluate_epochs: evaluate on dev at every multiple of this many epochs, for example 0.25.
        evaluate_steps: evaluate on dev every this many steps, instead of evaluate_epochs.
        save_steps: also write last/ every this many steps; it is always written after an
            evaluation.
        patience: stop after this many evaluations in a row without a new best; null: never.
        log_steps: steps between two points of the training curves.
    """

    seed: Seed = 42
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    group_by_length: bool = True
    evaluate_epochs: Positive = 1.0
    evaluate_steps: PositiveInt | None = None
    save_steps: PositiveInt | None = None
    patience: PositiveInt | None = None
    log_steps: PositiveInt = 10


@dataclass
class SeedsConfig:
    """Seed optimisation: start with several seeds, and finish the one that is best on dev.

    Args:
        seeds: number of seeds: loop.seed, loop.seed + 1000, loop.seed + 2000 and so on; 1: only
            loop.seed.
        share: the share of all steps after which the seeds are compared.
    """

    seeds: PositiveInt = 1
    share: OpenUnitInterval = 0.2

    def candidates(self, first: int) -> list[int]:
        # 1000 apart, so that runs with loop.seed 1, 2, 3, ... try different seeds
        return [first + 1000 * k for k in range(self.seeds)]

    def comparison_step(self, total: int) -> int:
        """The step, of `total`, after which the seeds are compared."""
        return max(1, round(self.share * total))


@dataclass
class DistillationConfig:
    """A teacher, whose embedding of the first text of each pair EmbeddingMSELoss learns.

    Args:
        teacher: a bi-encoder: a model folder, or a name on the model hub. It may be the one that
            training starts from: then translations learn the embeddings of their sources.
        prompt: put before each text of the teacher; null: its default prompt, if it has one.
        projection: for a teacher with larger embeddings than the student's, a fixed map to its
            size. orthogonal: keep the teacher's dot products as well as that size allows;
            similarity: keep their differences, rotated, scaled and shifted to where the student's
            own embeddings are, for a student that knows something already; null: none.
        own_share: from 0 to below 1, the share of the student's own embedding before training in
            what it learns. Above 0, what it knows is kept, and the teacher's embeddings correct
            it; the two must be in one place, as by projection similarity. Not of a student with
            random weights, by model.dense or model.reinitialize.
        embeddings: the folder in which the teacher's embeddings are kept for further runs; null:
            teacher_embeddings in the folder of all runs.
    """

    teacher: str
    prompt: str | None = None
    projection: Literal["orthogonal", "similarity"] | None = None
    own_share: BelowOne = 0.0
    embeddings: str | None = None


@dataclass
class TrainConfig:
    """One training run of a bi-encoder or a cross-encoder, whichever the loss is for.

    Args:
        name: the folder of the run, below runs.
        model: the encoder that training starts from.
        data: the datasets.
        loss: the name of a class of sbert.losses, with its options; or of a class of your own,
            as my_module.MyLoss. Or one for each training dataset, by the dataset's name.
        optim: the optimiser.
        loop: the training loop.
        seed_optimisation: start with several seeds, and finish the best.
        distillation: a teacher whose embeddings are learnt; null: none.
        runs: the folder of all runs.
    """

    name: str
    model: ModelConfig
    data: DataConfig
    loss: Loss | dict[str, Loss]
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed_optimisation: SeedsConfig = field(default_factory=SeedsConfig)
    distillation: DistillationConfig | None = None
    runs: str = "runs"

    def __post_init__(self):
        check_run_name(self.name)
