"""The bi-encoder: a transformer, pooling and a head (Sentence-BERT, arXiv 1908.10084, figure 1)."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.device import InferencePrecision
from sbert.errors import require
from sbert.models.batches import pad_rows, without_prompts
from sbert.models.encoder import Encoder
from sbert.models.folders.bi_encoder import read_bi_encoder_folder, write_bi_encoder_folder
from sbert.models.folders.json_files import prefix_errors
from sbert.models.parts import freeze_unused
from sbert.models.prompts import Prompted, with_prompt
from sbert.models.similarity import check_similarity, similarity
from sbert.models.token_table import TokenTable
from sbert.models.tokens import TextTokenizer
from sbert.pooling import Dense, check_modes, pool
from sbert.texts import list_texts, unique


class BiEncoder(Encoder, Prompted):
    """Texts to embeddings: `forward` on padded ids, for training; `encode` on texts, for inference.

    Args:
        transformer: an encoder of transformers.
        tokenizer: its fast tokenizer.
        pooling: names in `sbert.pooling.POOLING`; several are put side by side.
        max_length: tokens a text keeps, special ones included.
        head: modules after the pooling, such as `Dense` and `Normalize`.
        lower_case: lower-case texts before they are tokenised.
        include_prompt: pool the tokens of a prompt, too.
        prompts: name -> the text that is put before each text.
        default_prompt_name: the prompt of `encode` where none is asked for.
        similarity_fn_name: how its embeddings are compared, a name in SIMILARITIES.
        truncate_dim: `encode` keeps so many first numbers of each embedding; None: all.
    """

    progress_label = "encode"
    unused_weights = "transformer.pooler."

    def __init__(
        self,
        transformer: nn.Module,
        tokenizer,
        pooling: str | Sequence[str],
        max_length: int,
        head: Sequence[nn.Module] = (),
        lower_case: bool = False,
        include_prompt: bool = True,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: str = "cosine",
        truncate_dim: int | None = None,
    ):
        super().__init__(transformer, tokenizer, TextTokenizer(tokenizer, max_length, lower_case))
        self.pooling = check_modes(pooling)
        self.include_prompt = include_prompt
        self.head = nn.Sequential(*head)
        self.declare_prompts(prompts, default_prompt_name)
        self.similarity_fn_name = check_similarity(similarity_fn_name)
        self.truncate_dim = truncate_dim
        self.embedding_dim(truncate_dim)
        freeze_unused(transformer)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        pooling: str | Sequence[str] | None = None,
        max_length: int | None = None,
        layer: int = -1,
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        truncate_dim: int | None = None,
    ) -> "BiEncoder":
        """Load a Hugging Face encoder or a sentence-transformers model, by folder or hub name.

        Args:
            pooling: a mode of `sbert.pooling.POOLING`, or several side by side; None: as saved,
                else mean. If given, it replaces the saved pooling and everything after it.
            max_length: tokens a text keeps, special ones included; None: as saved, else the model's
                maximum.
            layer: pool this hidden layer (0 the embeddings, 1 the first layer, -1 the last, -2 the
                one before it). The layers above are not loaded: the model is the shorter one, and
                is saved as such. A model that ends with a norm of its own applies it there too.
            prompts: name -> the text that is put before each text; None: as saved. If given, they
                replace the saved ones.
            default_prompt_name: the prompt of `encode` where none is asked for; None: as saved.
            truncate_dim: numbers that embeddings keep; None: as saved.

        Raises:
            InputError: no such folder, no safetensors weights in it, an unsupported module or
                setting.
        """
        saved = read_bi_encoder_folder(name_or_path, max_length, layer)
        backbone, usage = saved.backbone, saved.usage
        if prompts is not None:
            usage |= {"prompts": prompts, "default_prompt_name": None}
        given = {"default_prompt_name": default_prompt_name, "truncate_dim": truncate_dim}
        usage |= {name: value for name, value in given.items() if value is not None}
        with prefix_errors(backbone.root):
            return cls(
                backbone.transformer,
                backbone.tokenizer,
                saved.pooling if pooling is None else pooling,
                backbone.max_length,
                saved.head if pooling is None else [],
                backbone.lower_case,
                saved.include_prompt,
                **usage,
            ).eval()

    @property
    def dim(self) -> int:
        """H, the size of an embedding."""
        sizes = [module.linear.out_features for module in self.head if isinstance(module, Dense)]
        return sizes[-1] if sizes else self.transformer.config.hidden_size * len(self.pooling)

    @property
    def result_settings(self) -> dict:
        # an empty prompt is none, unless it is the first of the prompts of documents
        prompts = {name: text for name, text in self.prompts.items() if text}
        return {
            "pooling": self.pooling,
            "include_prompt": self.include_prompt,
            "head": str(self.head),
            "prompts": [prompts, self.find_prompt(), self.document_prompt],
            "similarity": self.similarity_fn_name,
            "size": self.embedding_dim(),
        }

    def embedding_dim(self, truncate_dim: int | None = None) -> int:
        """Numbers of an embedding of `encode`: `truncate_dim`, else the model's own, else all.

        Raises:
            InputError: more than there are.
        """
        size = self.truncate_dim if truncate_dim is None else truncate_dim
        size = self.dim if size is None else size
        require(
            isinstance(size, int) and size is not True and 1 <= size <= self.dim,
            f"truncate_dim {size!r}: the model's embeddings have 1 to {self.dim} numbers",
        )
        return size

    def inputs(self, table: TokenTable, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (B, C) -> ids and mask (T, L) of the texts present, column by column.

        With `pooling_mask` where pooling leaves the prompt out.
        """
        texts = rows.T[rows.T >= 0]  # (T,), column after column
        tokenizer = self.text_tokenizer
        ids, mask = pad_rows(table, texts, tokenizer.pad_id)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if tokenizer.gives_types:
            inputs["token_type_ids"] = tokenizer.token_types(mask)
        if not self.include_prompt:
            inputs["pooling_mask"] = without_prompts(mask, table.prompt_lengths[texts])
        return inputs

    def lengths(self, table: TokenTable, rows: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, table.lengths_of(rows), 0).max(axis=1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        pooling_mask: Tensor | None = None,
        transformer: nn.Module | None = None,
    ) -> Tensor:
        """(B, L), (B, L) -> embeddings (B, H), fp32. `transformer` computes in place of its own.

        token_type_ids: (B, L), where the tokenizer gives others than 0, as that of XLNet does.
        pooling_mask: (B, L), the tokens that are pooled; None: all that are attended to.
        """
        tokens = self.token_states(input_ids, attention_mask, token_type_ids, transformer)
        return self.head(pool(tokens, attention_mask, self.pooling, pooling_mask))

    def token_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        transformer: nn.Module | None = None,
    ) -> Tensor:
        """As `forward`, but the transformer's last hidden states, (B, L, its H)."""
        output = self.run_transformer(input_ids, attention_mask, token_type_ids, transformer)
        return output.last_hidden_state

    def encode(
        self,
        texts: Iterable[str],
        precision: InferencePrecision = "auto",
        normalize: bool = False,
        progress: bool | None = False,
        batch_tokens: int | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embeddings of N texts, any iterable, as a float32 array (N, H), in the order given.

        Every distinct text is computed once, in batches of similar length. A text longer than
        `max_length` tokens is cut, with one warning that counts such texts.

        Args:
            precision: type of the transformer's weights and products; pooling and head are fp32.
                bf16 keeps the cosine to the fp32 embedding above 0.9995.
            normalize: scale every embedding to length 1, after `truncate_dim`.
            progress: show a bar, in tokens; None: only on a terminal.
            batch_tokens: tokens in a batch at most, padding included; None: 2,048 on a CPU, 65,536
                elsewhere.
            prompt: put before each text; "": none.
            prompt_name: a name in `prompts`, instead. Neither: the default prompt, if any.
            truncate_dim: numbers that an embedding keeps, its first; None: as the model declares.

        Raises:
            InputError: `texts` is one text instead of several, or holds what is no text; an unknown
                precision or prompt; a prompt longer than `max_length`; a `truncate_dim` above the
                size of the embeddings; an embedding is not finite.
        """
        prompt = self.find_prompt(prompt, prompt_name)
        size = self.embedding_dim(truncate_dim)
        texts = list_texts(texts, "encode")
        distinct, index = unique(texts)
        table = self.text_tokenizer.tokenize(distinct, [prompt] * len(distinct))
        self._warn_cut(table.cut_tokens, "texts")
        rows = np.arange(len(distinct))[:, None]  # (U, 1)
        embeddings = self.infer(table, rows, precision, progress, batch_tokens)[:, :size]
        if normalize:
            embeddings = F.normalize(embeddings, dim=-1)
        if len(distinct) < len(index):  # without duplicates, the index would only copy
            embeddings = embeddings[index]
        self._require_finite(
            embeddings, lambda i: f"embedding of text {i}, {texts[i][:60]!r},", precision
        )
        return embeddings.contiguous().numpy()

    def encode_query(self, texts: Iterable[str], **options) -> np.ndarray:
        """`encode` with `query_prompt`, unless its options name another."""
        return self.encode(texts, **with_prompt(self.query_prompt, options))

    def encode_document(self, texts: Iterable[str], **options) -> np.ndarray:
        """`encode` with `document_prompt`, unless its options name another."""
        return self.encode(texts, **with_prompt(self.document_prompt, options))

    def similarity(self, a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> Tensor:
        """(Q, H), (N, H) -> (Q, N) by the similarity that the model declares."""
        return similarity(a, b, self.similarity_fn_name)

    def save_pretrained(self, path: str | Path) -> None:
        """Save a folder that sentence-transformers loads with the same embeddings, too.

        docs/models.md says which versions.
        """
        write_bi_encoder_folder(path, self)
