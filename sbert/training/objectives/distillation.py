"""Distillation of a bi-encoder: a teacher's embeddings of texts become the labels of their rows.

In multilingual knowledge distillation (Reimers and Gurevych 2020, arXiv 2004.09813) a student
learns the teacher's embedding of a text from the text itself and from its translation, by
`EmbeddingMSELoss`. The teacher's embeddings are made once and kept on disk.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from accelerate import Accelerator
from torch import from_numpy

from sbert.atomic import file_name, locked, write_whole
from sbert.data.collection import load_vectors
from sbert.device import resolve_precision
from sbert.distributed import broadcast, compute_shared
from sbert.errors import require
from sbert.losses.base import Loss
from sbert.models.bi_encoder import BiEncoder
from sbert.models.loading import load_embedder
from sbert.pooling import Normalize
from sbert.texts import digest, unique
from sbert.training.config import DistillationConfig, TrainConfig
from sbert.training.objectives.projection import kept_share, principal_directions, rotation
from sbert.vector_files import write_vectors

UNIT_TEXTS = 2048  # embedded between two states that an interrupted run resumes from
SAMPLE_TEXTS = 10_000  # embedded by the student, to rotate the targets towards it


@dataclass
class Targets:
    """What a student is to learn for N rows: `targets[rows]` is (R, Hs) float32.

    vectors: (U, Ht), the teacher's embeddings of the distinct texts. index: (N,), the text of each
    row. projection: (Ht, Hs), or None. normalised: targets are scaled to length 1.
    """

    vectors: np.ndarray
    index: np.ndarray
    projection: np.ndarray | None
    normalised: bool

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        targets = np.array(self.vectors[self.index[rows]], np.float32)  # (R, Ht), from the disk
        if self.projection is not None:
            targets = targets @ self.projection
        if self.normalised:
            targets = F.normalize(from_numpy(targets), dim=1).numpy()
        return targets


class Teacher:
    """A bi-encoder whose embeddings a student learns.

    Args:
        config: of the run; it names the teacher, and where its embeddings are kept.
        student: before training. Where it ends in `Normalize`, the targets are of length 1 too.
        student_prompt: what is put before the student's texts.

    Raises:
        InputError: the teacher is a cross-encoder; its embeddings have another size than the
            student's, and no projection, or none to this size, is chosen.
    """

    def __init__(
        self,
        config: TrainConfig,
        student: BiEncoder,
        student_prompt: str,
        accelerator: Accelerator,
    ):
        options = config.distillation
        self.name = file_name(Path(options.teacher).name)
        self.model = load_embedder(options.teacher, "distillation.teacher")
        self.fingerprint = self.model.fingerprint
        self.prompt = self.model.find_prompt(options.prompt)
        self.student, self.student_prompt = student, student_prompt
        self.projects = options.projection
        self.projection: np.ndarray | None = None
        self.folder = Path(options.embeddings or Path(config.runs) / "teacher_embeddings")
        self.precision = config.loop.precision
        self.accelerator = accelerator
        self._check_sizes(options)

    def _check_sizes(self, config: DistillationConfig) -> None:
        teacher, student = self.model.embedding_dim(), self.student.dim
        sizes = (
            f"the embeddings of the teacher {config.teacher} have {teacher} numbers, those of the "
            f"student {student}"
        )
        require(
            teacher == student or config.projection,
            f"distillation: {sizes}; set distillation.projection, or train a student that ends in "
            f"a Dense of {teacher}",
        )
        require(
            student == self.student.embedding_dim(),
            f"distillation: the student declares truncate_dim {self.student.truncate_dim}; "
            f"embeddings are learnt at full size, {student}",
        )
        require(
            teacher >= student,
            f"distillation.projection: {sizes}, and a projection does not make them longer; train "
            f"a student that ends in a Dense of {teacher}",
        )

    def fit(self, columns: Sequence[list[str]]) -> None:
        """Choose the projection, if there is one, by the texts of training."""
        if self.projects:
            texts, _ = unique(chain(*columns))
            self.projection = self._find_projection(texts, self._embed(texts))

    def targets(self, columns: Sequence[list[str]]) -> list[Targets]:
        """The targets of C lists of texts. The distinct texts are embedded together, or their
        embeddings read where they are kept."""
        texts, index = unique(chain(*columns))
        path = self._embed(texts)
        self.accelerator.print(f"teacher: embeddings of {len(texts):,} texts in {path}")
        vectors = load_vectors(path)  # (U, Ht)
        normalised = any(isinstance(module, Normalize) for module in self.student.head[-1:])
        ends = np.cumsum([len(column) for column in columns])
        parts = np.split(index, ends[:-1])
        return [Targets(vectors, part, self.projection, normalised) for part in parts]

    def _embed(self, texts: list[str]) -> Path:
        """The file of the teacher's embeddings, named after all that they depend on."""
        model, prompt = self.model.to(self.accelerator.device), self.prompt
        settings = {
            "texts": digest(texts),
            "model": self.fingerprint,
            "prompt": prompt,
            "dim": model.embedding_dim(),
            "precision": str(resolve_precision(self.precision, model.device)),
        }
        path = self.folder / f"{self.name}-{_key(settings)}.npy"
        encode = partial(model.encode, precision=self.precision, prompt=prompt)

        def write() -> None:
            write_vectors(self.accelerator, path, settings, encode, texts, UNIT_TEXTS)

        self._make_once(path, write)
        return path

    def _find_projection(self, texts: list[str], path: Path) -> np.ndarray:
        """P, (Ht, Hs) float32, of the teacher's embeddings of U texts; made, or read where kept."""
        vectors = load_vectors(path)  # (U, Ht)
        student, accelerator = self.student.to(self.accelerator.device), self.accelerator
        prompt, precision = self.student_prompt, self.precision
        size = min(len(texts), SAMPLE_TEXTS)
        sample = np.sort(np.random.default_rng(0).choice(len(texts), size, replace=False))
        settings = {
            "teacher": path.name,
            "student": student.fingerprint,
            "prompt": prompt,
            "precision": str(resolve_precision(precision, student.device)),
        }
        file = self.folder / f"{path.stem}-projection-{_key(settings)}.npy"
        options = {"precision": precision, "prompt": prompt, "truncate_dim": student.dim}
        encode = partial(student.encode, **options)

        def write() -> None:
            own = compute_shared(accelerator, encode, [texts[i] for i in sample])  # (S, Hs)
            if accelerator.is_main_process:
                directions = principal_directions(vectors, student.dim)
                projection = directions @ rotation(vectors[sample] @ directions, own)
                write_whole(file, _npy(projection.astype(np.float32)))
            accelerator.wait_for_everyone()

        self._make_once(file, write)
        projection = load_vectors(file)[:]
        share = kept_share(vectors[sample], projection)
        accelerator.print(
            f"projection: {len(projection)} -> {student.dim} numbers, keeps {100 * share:.2f} % of "
            f"the squared length of the teacher's embeddings; {file}"
        )
        return projection

    def _make_once(self, path: Path, write: Callable[[], None]) -> None:
        """Write a file that is not there; of several runs that want it at once, one writes."""
        main = self.accelerator.is_main_process
        if main:
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(path) if main else nullcontext():
            if not broadcast(self.accelerator, path.exists()):
                write()


def check_distillation(config: DistillationConfig | None, losses: Sequence[Loss]) -> None:
    """Check that there is a teacher if and only if a loss learns its embeddings.

    Raises:
        InputError: one of the two without the other.
    """
    learning = any(loss.target == "embedding" for loss in losses)
    names = dict.fromkeys(type(loss).__name__ for loss in losses)
    require(
        learning or config is None,
        f"distillation: {' and '.join(names)} does not learn a teacher's embeddings; train with "
        "EmbeddingMSELoss, or leave distillation out",
    )
    require(
        config or not learning,
        "EmbeddingMSELoss learns the embeddings of a teacher: name it in distillation.teacher",
    )


def _key(settings: dict) -> str:
    return digest([json.dumps(settings, sort_keys=True)])[:16]


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
