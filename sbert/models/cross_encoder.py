"""The cross-encoder: one transformer reads both texts of a pair and gives a score, or K of them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sbert.device import InferencePrecision
from sbert.errors import require
from sbert.models.classifier import (
    compute_first_position_only,
    keep_head_in_fp32,
    lower_case_in_tokenizer,
    set_class_names,
    settle_padding,
)
from sbert.models.encoder import Encoder
from sbert.models.folders.cross_encoder import read_cross_encoder_folder, write_cross_encoder_folder
from sbert.models.pair_tokens import PairTokenizer, list_pairs, rows_to_pairs, unique_pairs
from sbert.models.token_table import TokenTable
from sbert.models.tokens import tokenize_columns
from sbert.texts import check_text, list_texts

# logits (..., K) -> scores (..., K)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda logits: logits,
    "softmax": lambda logits: logits.softmax(dim=-1),
}


class CrossEncoder(Encoder):
    """Pairs of texts to scores: `forward` on padded ids, to train; `predict` on texts, to use it.

    Args:
        transformer: a sequence classifier of transformers. It is changed: see `keep_head_in_fp32`
            and `compute_first_position_only`. A decoder without a padding token gets one: see
            `settle_padding`.
        tokenizer: its fast tokenizer. `lower_case` changes it: see `lower_case_in_tokenizer`.
        max_length: tokens a pair keeps, special ones included.
        activation: a name in ACTIVATIONS.
    """

    progress_label = "predict"

    def __init__(
        self,
        transformer: nn.Module,
        tokenizer,
        max_length: int,
        activation: str,
        lower_case: bool = False,
    ):
        if lower_case:
            lower_case_in_tokenizer(tokenizer)
        super().__init__(transformer, tokenizer, PairTokenizer(tokenizer, max_length))
        self.activation = activation
        settle_padding(transformer, tokenizer, self.text_tokenizer)
        self.fp32_weights = keep_head_in_fp32(transformer)
        self.first_position_only = compute_first_position_only(transformer)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        num_labels: int | None = None,
        max_length: int | None = None,
        new_head: bool = False,
    ) -> "CrossEncoder":
        """Load any encoder, sequence classifier or cross-encoder, by folder or hub name.

        Args:
            num_labels: logits a pair: 1 for a score, K for classes; None: as saved, 1 for a plain
                encoder.
            max_length: tokens a pair keeps, special ones included; None: as saved, else the model's
                maximum.
            new_head: start with a new output layer even if the folder has one; a plain encoder's
                always is new.

        Raises:
            InputError: no such folder, no safetensors weights in it, a head of another size than
                `num_labels`.
        """
        backbone, activation = read_cross_encoder_folder(
            name_or_path, num_labels, max_length, new_head
        )
        return cls(
            backbone.transformer,
            backbone.tokenizer,
            backbone.max_length,
            activation,
            backbone.lower_case,
        ).eval()

    @property
    def dim(self) -> int:
        """K, logits a pair."""
        return self.transformer.config.num_labels

    @property
    def result_settings(self) -> dict:
        return {"activation": self.activation}

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, in the order of the logits; None if they have no names."""
        names = [name for _, name in sorted(self.transformer.config.id2label.items())]
        return None if names == [f"LABEL_{k}" for k in range(self.dim)] else names

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        require(
            len(names) == self.dim,
            f"classes: {len(names)} names for the {self.dim} classes of the model",
        )
        set_class_names(self.transformer.config, names)

    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (B, C) -> ids, mask, types (P, L) of each first text with the others."""
        return self.text_tokenizer.join(table, rows_to_pairs(rows)[0])

    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        pairs, row = rows_to_pairs(rows)
        longest = np.zeros(len(rows), np.int64)
        np.maximum.at(longest, row, self.text_tokenizer.lengths(table, pairs))
        return longest

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        transformer: nn.Module | None = None,
    ) -> Tensor:
        """(P, L) each -> logits (P, K), fp32. `transformer` computes in place of its own."""
        return self.run_transformer(input_ids, attention_mask, token_type_ids, transformer).logits

    def predict(
        self,
        pairs: Iterable[tuple[str, str]],
        logits: bool = False,
        symmetric: bool = False,
        precision: InferencePrecision = "auto",
        progress: bool | None = False,
        batch_tokens: int | None = None,
    ) -> np.ndarray:
        """Scores of N pairs, float32, in the order given: (N,) for one label, (N, K) for K classes.

        By default scores are probabilities: a sigmoid for one label, softmax over classes. A folder
        saved with the identity as its activation (a regression, or a ranker of
        sentence-transformers) gives its logits. Every distinct pair is computed once, in batches of
        similar length. A pair longer than `max_length` tokens is cut, the longer text first, with
        one warning that counts such pairs.

        Args:
            logits: return the logits instead. A saturated sigmoid makes ties, logits do not: use
                them to rank and to correlate.
            symmetric: average the logits of both orders of each pair.
            precision: type of the transformer's weights and products; the output layer is always
                fp32.
            progress: show a bar, in tokens; None: only on a terminal.
            batch_tokens: tokens in a batch at most, padding included; None: 2,048 on a CPU, 65,536
                elsewhere.

        Raises:
            InputError: an element of `pairs` is not two texts; a text is empty; an unknown
                precision; a score is not finite.
        """
        columns = list_pairs(pairs)
        table, rows = tokenize_columns(self.text_tokenizer, columns)
        distinct, _ = unique_pairs(rows, symmetric)
        self._warn_cut(self.text_tokenizer.cut_tokens(table, distinct), "pairs")
        return self.predict_tokenized(
            table, rows, logits, symmetric, precision, progress, batch_tokens
        )

    def predict_tokenized(
        self,
        table: TokenTable,
        pairs: np.ndarray,
        logits: bool = False,
        symmetric: bool = False,
        precision: InferencePrecision = "auto",
        progress: bool | None = False,
        batch_tokens: int | None = None,
    ) -> np.ndarray:
        """`predict` for pairs (N, 2) of the texts of a table, without the warning of cut pairs."""
        distinct, index = unique_pairs(pairs, symmetric)
        outputs = self.infer(table, distinct, precision, progress, batch_tokens)[index]
        if symmetric:
            outputs = (outputs[: len(pairs)] + outputs[len(pairs) :]) / 2
        self._require_finite(outputs, lambda i: f"score of pair {i}", precision)
        if self.dim == 1:
            outputs = outputs.squeeze(-1)
        if not logits:
            outputs = ACTIVATIONS[self.activation](outputs)
        return outputs.numpy()

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        precision: InferencePrecision = "auto",
        progress: bool | None = False,
    ) -> list[tuple[int, float]]:
        """[(index, score)] of the best `top_k` documents (None: of all), best first.

        Ordered by the logit; of documents with equal logits the earlier comes first.

        Raises:
            InputError: a model of several classes; no documents; an empty text; `top_k` below 1.
        """
        require(self.dim == 1, f"rank: needs a model of one score; this one has {self.dim} classes")
        require(top_k is None or top_k > 0, f"rank: top_k is {top_k}; it must be 1 or more")
        check_text(query, "rank: the query", may_be_empty=False)
        documents = list_texts(documents, "rank", "document", may_be_empty=False)
        require(documents, "rank: there are no documents; give a list of texts")
        columns = [[query] * len(documents), documents]
        table, pairs = tokenize_columns(self.text_tokenizer, columns)  # (N, 2)
        distinct, _ = unique_pairs(pairs, symmetric=False)
        self._warn_cut(self.text_tokenizer.cut_tokens(table, distinct), "pairs")
        logits = self.predict_tokenized(
            table, pairs, logits=True, precision=precision, progress=progress
        )
        scores = ACTIVATIONS[self.activation](torch.from_numpy(logits)).tolist()
        best = np.argsort(-logits, kind="stable")[:top_k].tolist()
        return [(i, scores[i]) for i in best]

    def save_pretrained(self, path: str | Path) -> None:
        """Save a sequence-classification folder.

        This class, transformers and sentence-transformers load it with the same scores;
        docs/models.md says which versions.
        """
        write_cross_encoder_folder(
            path, self.transformer, self.tokenizer, self.max_length, self.activation
        )
