"""The cross-encoder: one transformer reads both texts of a pair at once and gives it a score, or one for each class."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tokenizers import normalizers
from torch import Tensor, nn

from sbert.device import Precision
from sbert.errors import InputError
from sbert.models import classifier
from sbert.models.classifier import ACTIVATIONS, NEWEST
from sbert.models.encoder import Encoder, warn_cut
from sbert.models.hf_folder import load_json, quietly, read_backbone
from sbert.models.pair_tokens import PairTokenizer, flatten
from sbert.models.tokens import TokenTable, tokenize_columns


class CrossEncoder(Encoder):
    """Pairs of texts to scores. `forward` is the training path, on padded ids; `predict` the inference path, on texts."""

    verb = "predict"

    def __init__(
        self,
        transformer: nn.Module,
        tokenizer,
        max_length: int,
        activation: str,
        lower_case: bool = False,
    ):
        """`transformer` is a sequence classifier of transformers; `activation` one of ACTIVATIONS."""
        if lower_case:  # as part of the tokenizer, since no setting of such a folder says it
            backend = tokenizer.backend_tokenizer
            backend.normalizer = normalizers.Sequence(
                [normalizers.Lowercase(), *filter(None, [backend.normalizer])]
            )
        super().__init__(transformer, tokenizer, PairTokenizer(tokenizer, max_length))
        self.activation = activation
        self.exact = classifier.keep_head_in_fp32(transformer)
        classifier.compute_first_position_only(transformer)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, num_labels: int | None = None, max_length: int | None = None,
                        new_head: bool = False) -> "CrossEncoder":  # fmt: skip
        """Load a local folder or a hub name: any encoder, a sequence classifier, or what sentence-transformers saved.

        Args:
            num_labels: logits a pair: 1 for a score, K for classes; None: as saved, 1 for a plain encoder.
            max_length: tokens a pair keeps, special ones included; None: as saved, else what the model was made for.
            new_head: start the last layer afresh, though the folder has one; a plain encoder's is new anyway.

        Raises:
            InputError: no such folder, no safetensors weights in it, a head of another size than `num_labels`.
        """
        saved = read_backbone(
            name_or_path,
            partial(classifier.load_classifier, num_labels=num_labels, new_head=new_head),
        )
        config = saved.transformer.config
        if (
            saved.modules
            and load_json(saved.root / NEWEST, default={}).get("model_type") == "CrossEncoder"
        ):
            raise InputError(
                f"{saved.root}: a cross-encoder of several modules is not supported here"
            )
        activation = None if new_head else classifier.read_activation(saved.root, config)
        if config.num_labels > 1 and activation in (None, "identity"):
            activation = "softmax"
        length = min(saved.max_length if max_length is None else max_length, saved.longest)
        return cls(
            saved.transformer, saved.tokenizer, length, activation or "sigmoid", saved.lower_case
        ).eval()

    @property
    def dim(self) -> int:
        """K, logits a pair."""
        return self.transformer.config.num_labels

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, where they have been named."""
        names = [name for _, name in sorted(self.transformer.config.id2label.items())]
        return None if names == [f"LABEL_{k}" for k in range(self.dim)] else names

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        if len(names) != self.dim:
            raise InputError(f"classes: {len(names)} names for the {self.dim} classes of the model")
        self.transformer.config.id2label = dict(enumerate(names))
        self.transformer.config.label2id = {name: k for k, name in enumerate(names)}

    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """The first text of each row with each of the others that is there, row after row: ids, mask, types (P, L)."""
        return self.texts.join(table, flatten(rows)[0])

    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        pairs, owner = flatten(rows)
        longest = np.zeros(len(rows), np.int64)
        np.maximum.at(longest, owner, self.texts.lengths(table, pairs))
        return longest

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None,
                weights: Mapping[str, Tensor] | None = None) -> Tensor:  # fmt: skip
        """(P, L) each -> logits (P, K), fp32."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        return self.transform(weights, inputs).logits

    def predict(self, pairs: Sequence[tuple[str, str]], logits: bool = False, symmetric: bool = False,
                precision: Precision = "auto", progress: bool | None = False,
                batch_tokens: int = 4096) -> np.ndarray:  # fmt: skip
        """Scores of N pairs, float32: (N,) for one label, in [0, 1] by a sigmoid, or (N, K) class probabilities.

        A folder saved with the identity as its activation (a regression, or a ranker of sentence-transformers) gives its
        logits as scores. Every distinct text is tokenised once and every distinct pair computed once, longest first, in
        batches of at most `batch_tokens` tokens, padding included. A pair longer than `max_length` is cut, the longer
        text first, with a warning that counts such pairs.

        Args:
            logits: what comes before the activation. A saturated sigmoid makes ties, logits do not: correlate and rank these.
            symmetric: the mean of the logits of both orders of each pair.
            precision: type of the transformer's weights and products; the last layer is fp32 always.
            progress: show a bar, in tokens; None: on a terminal alone.
        """
        for i, pair in enumerate(pairs):
            if not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2:
                raise InputError(
                    f"predict: pair {i} is {pair!r}, not two texts; write predict([(text, text), ...])"
                )
            for side, text in zip(("first", "second"), pair, strict=True):
                _check_text(text, f"predict: the {side} text of pair {i}")
        table, rows = tokenize_columns(
            self.texts, [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
        )
        self._warn_cut(table, rows, symmetric)
        return self.score(table, rows, logits, symmetric, precision, progress, batch_tokens)

    def score(self, table: TokenTable, rows: np.ndarray, logits: bool = False, symmetric: bool = False,
              precision: Precision = "auto", progress: bool | None = False, batch_tokens: int = 4096) -> np.ndarray:  # fmt: skip
        """`predict` for pairs (N, 2) of the texts of a table, without its warning."""
        scores = self._logits(table, rows, symmetric, precision, progress, batch_tokens)
        return (scores if logits else self._activate(scores)).numpy()

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None, precision: Precision = "auto",
             progress: bool | None = False) -> list[tuple[int, float]]:  # fmt: skip
        """[(index of the document, score)], best first, of the best `top_k` documents, or of all where they are fewer.

        Ordered by the logit; of documents with equal ones the earlier comes first.
        """
        if self.dim != 1:
            raise InputError(
                f"rank: needs a model of one score, and this one has {self.dim} classes"
            )
        if isinstance(documents, str) or not len(documents):
            raise InputError("rank: there are no documents; give a list of texts")
        if top_k is not None and top_k < 1:
            raise InputError(f"rank: top_k is {top_k}; it must be 1 or more")
        for i, text in enumerate([query, *documents]):
            _check_text(text, f"rank: document {i - 1}" if i else "rank: the query")
        table, column = tokenize_columns(self.texts, [[query, *documents]])
        rows = np.stack([np.broadcast_to(column[0], len(documents)), column[1:, 0]], axis=1)
        self._warn_cut(table, rows, False)
        logits = self._logits(table, rows, False, precision, progress, 4096)
        scores = self._activate(logits).tolist()
        best = np.argsort(-logits.numpy(), kind="stable")[:top_k].tolist()
        return [(i, scores[i]) for i in best]

    def _logits(self, table: TokenTable, rows: np.ndarray, symmetric: bool, precision: Precision,
                progress: bool | None, batch_tokens: int) -> Tensor:  # fmt: skip
        """(N, 2) -> (N,) or (N, K), every distinct pair computed once."""
        both = _orders(rows, symmetric)
        keys, place = np.unique(both[:, 0] * max(1, len(table)) + both[:, 1], return_inverse=True)
        pairs = np.stack(np.divmod(keys, max(1, len(table))), axis=1)
        logits = self.infer(table, pairs, self.dim, precision, progress, batch_tokens)[
            torch.from_numpy(place)
        ]
        if symmetric:
            logits = (logits[: len(rows)] + logits[len(rows) :]) / 2
        return logits.squeeze(-1) if self.dim == 1 else logits

    def _warn_cut(self, table: TokenTable, rows: np.ndarray, symmetric: bool) -> None:
        distinct = np.unique(_orders(rows, symmetric), axis=0)
        warn_cut(
            int((self.texts.cut(table, distinct) > 0).sum()),
            len(distinct),
            "pairs",
            self.max_length,
            depth=4,
        )

    def _activate(self, logits: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation][1](logits)

    def save_pretrained(self, path: str | Path) -> None:
        """Save a sequence-classification folder that this class, transformers, and sentence-transformers 2 to 6 load with
        the same scores."""
        root = Path(path)
        root.mkdir(parents=True, exist_ok=True)
        for stale in (
            "modules.json",
            "sentence_bert_config.json",
            NEWEST,
        ):  # of another model saved here before
            (root / stale).unlink(missing_ok=True)
        classifier.write_activation(self.transformer.config, self.activation)
        quietly(self.transformer.save_pretrained, root)
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(root)


def _orders(rows: np.ndarray, symmetric: bool) -> np.ndarray:
    return np.concatenate([rows, rows[:, ::-1]]) if symmetric else rows


def _check_text(text: object, place: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{place} is {text!r}, not a str")
    if not text.strip():
        raise InputError(f"{place} is empty")
