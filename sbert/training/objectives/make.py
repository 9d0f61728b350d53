"""Which objective and which training set are made, by what the losses read."""

import copy
from collections.abc import Sequence
from typing import Any

from accelerate.utils import set_seed
from torch import nn

from sbert.cli import InnerParser
from sbert.data.rows import Rows
from sbert.errors import require
from sbert.losses.base import Loss
from sbert.losses.cross_encoder import PairLoss
from sbert.losses.saved import saved_options
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.tokens import tokenize_columns
from sbert.pooling import Dense, ends_in_normalize
from sbert.training.config import ModelConfig
from sbert.training.objectives.language_model import LanguageModelObjective, MaskedTexts
from sbert.training.objectives.objective import Objective, TokenizeColumns, TrainingSet
from sbert.training.objectives.trained import choose_trained


def make_losses(options: dict[str, Any]) -> Loss | dict[str, Loss]:
    """One loss, or one for each dataset, of the configuration `options`, nested dicts.

    Weights that a loss draws when it is made come from torch's random state: seed it before.
    """
    parser = InnerParser()
    parser.add_argument("--loss", type=Loss | dict[str, Loss])
    return parser.instantiate(parser.parse_object({"loss": options["loss"]})).loss


def make_objective(
    config: ModelConfig, losses: Sequence[Loss], classes: list[str] | None, seed: int
) -> Objective:
    """The model and its losses as they are before the first step of a seed.

    All new weights are drawn from the seed, but those that `losses` have already; they themselves
    stay as they are.
    """
    set_seed(seed)
    losses = copy.deepcopy(losses)
    loss = losses[0]  # all are for the same kind of encoder
    if isinstance(loss, PairLoss):
        model = _make_cross_encoder(config, loss, classes)
    else:
        model = _make_bi_encoder(config, loss)
    choose_trained(model, config)
    objective = objective_class(loss)(model, *losses)
    require(
        any(weight.requires_grad for weight in objective.parameters()),
        "model.freeze: nothing is left to train",
    )
    for loss in objective.losses:
        saved_options(loss.full_loss)  # refused now, not when best/ is written
    return objective


def _make_cross_encoder(
    config: ModelConfig, loss: PairLoss, classes: list[str] | None
) -> CrossEncoder:
    name = type(loss).__name__
    require(
        config.pooling is None and config.layer == -1 and config.dense is None,
        "model.pooling, model.layer and model.dense are for a bi-encoder; "
        f"{name} trains a cross-encoder",
    )
    require(
        config.prompts is None and config.default_prompt_name is None,
        f"model.prompts and model.default_prompt_name are for a bi-encoder; {name} trains a "
        "cross-encoder",
    )
    model = CrossEncoder.from_pretrained(
        config.path, loss.num_labels, config.max_length, config.new_head
    )
    model.activation = loss.activation
    if classes:
        model.classes = classes
    return model


def _make_bi_encoder(config: ModelConfig, loss: Loss) -> BiEncoder:
    name = type(loss).__name__
    require(
        not config.new_head,
        f"model.new_head is for a cross-encoder; {name} trains a bi-encoder",
    )
    model = BiEncoder.from_pretrained(
        config.path,
        config.pooling,
        config.max_length,
        config.layer,
        prompts=config.prompts,
        default_prompt_name=config.default_prompt_name,
    )
    if config.dense is not None:
        require(not loss.reads_tokens, f"model.dense: {name} trains nothing after the pooling")
        end_in_dense(model, config.dense)
    return model


def end_in_dense(model: BiEncoder, size: int) -> None:
    """Let a bi-encoder end in a linear `Dense` of `size` outputs, before a last `Normalize`.

    Drawn from torch's generator. A model that ends in such a `Dense` keeps it.

    Raises:
        InputError: it ends in another one, or declares a truncate_dim above `size`.
    """
    head = model.head
    position = len(head) - ends_in_normalize(head)
    last = head[position - 1] if position else None
    if isinstance(last, Dense):
        found, activation = last.linear.out_features, type(last.activation)
        require(
            found == size and activation is nn.Identity,
            f"model.dense {size}: the model ends in a Dense of {found} numbers with "
            f"{activation.__name__}; leave model.dense out to keep it, or set model.pooling, which "
            "replaces what the folder has after its transformer",
        )
    else:
        head.insert(position, Dense(model.dim, size, activation="Identity"))
    model.embedding_dim()  # checks truncate_dim


def objective_class(loss: Loss) -> type[Objective]:
    """What is made of the model's outputs: embeddings, or states of tokens."""
    return LanguageModelObjective if loss.reads_tokens else Objective


def make_training_set(
    loss: Loss,
    datasets: Sequence[Rows],
    model: Encoder,
    tokenize: TokenizeColumns = tokenize_columns,
) -> TrainingSet:
    """The rows that a loss reads of its datasets, as tokens.

    Args:
        tokenize: `tokenize_columns`, or that of `TokenFiles`.

    Raises:
        InputError: as `TrainingSet.from_datasets` and `MaskedTexts.from_datasets`.
    """
    if loss.reads_tokens:
        return MaskedTexts.from_datasets(datasets, model, loss, tokenize)
    return TrainingSet.from_datasets(datasets, model, tokenize)
