"""Distillation of a bi-encoder: a teacher's embeddings of texts become the labels of their rows.

In multilingual knowledge distillation (Reimers and Gurevych 2020, arXiv 2004.09813) a student
learns the teacher's embedding of a text from the text itself and from its translation, by
`EmbeddingMSELoss`. The embeddings are made once and kept on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from accelerate import Accelerator
from torch import from_numpy

from sbert.atomic import file_name
from sbert.distributed import broadcast
from sbert.errors import require
from sbert.evaluation.report import Prompt
from sbert.losses.base import Loss
from sbert.models.bi_encoder import BiEncoder
from sbert.models.loading import load_embedder
from sbert.pooling import ends_in_normalize
from sbert.texts import unique
from sbert.training.config import TrainConfig
from sbert.training.objectives.embedding_files import EmbeddingFiles
from sbert.training.objectives.projection import (
    Projection,
    kept_share,
    orthogonal_projection,
    similarity_projection,
)

SAMPLE_TEXTS = 10_000  # embedded by the student, to bring the targets near to its embeddings
PROJECTIONS = {"orthogonal": orthogonal_projection, "similarity": similarity_projection}


@dataclass
class Targets:
    """What a student is to learn for N rows: `targets[rows]` is (R, Hs) float32.

    vectors: (U, Ht), the teacher's embeddings of the distinct texts. index: (N,), the text of each
    row. projection: Ht -> Hs, or None. own: (U, Hs), the student's embeddings before training, of
    which the targets have a share, or None. normalised: targets are scaled to length 1.
    """

    vectors: np.ndarray
    index: np.ndarray
    projection: Projection | None = None
    own: np.ndarray | None = None
    own_share: float = 0.0
    normalised: bool = False

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        texts = self.index[rows]
        targets = np.array(self.vectors[texts], np.float32)  # (R, Ht), from the disk
        if self.projection is not None:
            targets = self.projection(targets)
        if self.own is not None:
            targets = (1 - self.own_share) * targets + self.own_share * self.own[texts]
        targets = from_numpy(np.asarray(targets, np.float32))
        return F.normalize(targets, dim=1).numpy() if self.normalised else targets.numpy()


class Teacher:
    """A bi-encoder whose embeddings a student learns.

    Args:
        config: of the run; it names the teacher, and where its embeddings are kept.
        student: before training. Where it ends in `Normalize`, the targets are of length 1 too.
        student_prompts: of the first texts of each training dataset, after its name.

    Raises:
        InputError: the teacher is a cross-encoder; its embeddings have another size than the
            student's, and no projection, or none to this size, is chosen; the student's own
            embeddings are needed, and its prompts differ.
    """

    def __init__(
        self,
        config: TrainConfig,
        student: BiEncoder,
        student_prompts: Sequence[tuple[str, Prompt]],
        accelerator: Accelerator,
    ):
        options = config.distillation
        self.name = file_name(Path(options.teacher).name)
        self.model = load_embedder(options.teacher, "distillation.teacher")
        self.prompt = self.model.find_prompt(options.prompt)
        self.student = student
        self.student_prompts = student_prompts
        self.options = options
        self.projection: Projection | None = None
        folder = Path(options.embeddings or Path(config.runs) / "teacher_embeddings")
        self.files = EmbeddingFiles(folder, config.loop.precision, accelerator)
        self.accelerator = accelerator
        self._check_sizes()
        self._check_prompts()

    def _check_sizes(self) -> None:
        config = self.options
        teacher, student = self.model.embedding_dim(), self.student.dim
        sizes = (
            f"the embeddings of the teacher {config.teacher} have {teacher} numbers, those of the "
            f"student {student}"
        )
        require(
            teacher == student or config.projection is not None,
            f"distillation: {sizes}; set distillation.projection to similarity or orthogonal, or "
            f"model.dense to {teacher}",
        )
        require(
            student == self.student.embedding_dim(),
            f"distillation: the student declares truncate_dim {self.student.truncate_dim}; "
            f"embeddings are learnt at full size, {student}",
        )
        require(
            teacher >= student,
            f"distillation.projection: {sizes}, and a projection does not make them longer; set "
            f"model.dense to {teacher}",
        )

    def _check_prompts(self) -> None:
        """Refuse several prompts of a student whose own embeddings of all texts are read."""
        used = [name for name in ("projection", "own_share") if getattr(self.options, name)]
        if not used:
            return
        first_name, first = self.student_prompts[0]
        for name, prompt in self.student_prompts:
            require(
                prompt.text == first.text,
                f"distillation.{used[0]} needs one prompt for the student's first texts, and that "
                f"of {first_name} is {first.name}, that of {name} {prompt.name}",
            )

    def fit(self, columns: Sequence[list[str]]) -> None:
        """Choose the projection, if there is one, by the texts of training."""
        if self.options.projection:
            texts, _ = unique(chain(*columns))
            self.projection = self._find_projection(texts)

    def targets(self, columns: Sequence[list[str]]) -> list[Targets]:
        """The targets of C lists of texts. The distinct texts are embedded together, or their
        embeddings read where they are kept."""
        texts, index = unique(chain(*columns))
        share = self.options.own_share
        vectors = self._embed(texts)
        own = self._embed_by_student(texts) if share else None
        normalised = ends_in_normalize(self.student.head)
        ends = np.cumsum([len(column) for column in columns])
        parts = np.split(index, ends[:-1])
        return [Targets(vectors, part, self.projection, own, share, normalised) for part in parts]

    def _embed(self, texts: list[str]) -> np.ndarray:
        """The teacher's embeddings, (U, Ht)."""
        return self.files.embed(self.model, self.name, self.prompt, texts)

    def _embed_by_student(self, texts: list[str]) -> np.ndarray:
        """The student's embeddings before training, (U, Hs)."""
        _, prompt = self.student_prompts[0]  # the same for all
        return self.files.embed(self.student, "student", prompt.text, texts)

    def _find_projection(self, texts: list[str]) -> Projection:
        """The projection of the teacher's embeddings of U texts, the same in every process."""
        require(
            len(texts) > 1,
            "distillation.projection is fitted to the first texts of train, and all are one text",
        )
        vectors = self._embed(texts)
        size = min(len(texts), SAMPLE_TEXTS)
        sample = np.sort(np.random.default_rng(0).choice(len(texts), size, replace=False))
        points = vectors[sample]
        require(
            not np.allclose(points, points[0]),
            f"distillation.projection: the teacher {self.options.teacher} gives all {len(texts):,} "
            "first texts of train one embedding; a projection needs texts that it tells apart",
        )
        own = self._embed_by_student([texts[i] for i in sample])
        projection = None
        if self.accelerator.is_main_process:
            projection = PROJECTIONS[self.options.projection](vectors, sample, own)
            self.accelerator.print(self._describe(projection, points))
        return broadcast(self.accelerator, projection)

    def _describe(self, projection: Projection, points: np.ndarray) -> str:
        """Sizes of the projection, and how much of the teacher's embeddings (N, Ht) it keeps."""
        kind, measure = self.options.projection, "squared length"
        if kind == "similarity":
            points, measure = points - points.mean(0), "variance"
        before, after = projection.matrix.shape
        share = 100 * kept_share(points, projection.matrix)
        return (
            f"{kind} projection: {before} -> {after} numbers, keeps {share:.2f} % of the {measure} "
            "of the teacher's embeddings"
        )


def check_distillation(run: TrainConfig, losses: Sequence[Loss]) -> None:
    """Check that there is a teacher if and only if a loss learns its embeddings.

    Raises:
        InputError: one of the two without the other; a share of the embeddings of a student with
            random weights, or a projection to several such students.
    """
    config = run.distillation
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
    drawn = [option for option in ("dense", "reinitialize") if getattr(run.model, option)]
    if not config or not drawn:
        return
    draws = f"model.{drawn[0]} draws weights of the student anew"
    require(
        not config.own_share,
        f"distillation.own_share is {config.own_share}, and {draws}, so that its own embeddings "
        "are random; leave own_share out",
    )
    seeds = run.seed_optimisation.seeds
    require(
        not config.projection or seeds == 1,
        f"distillation.projection is fitted to one student, and {draws} for each of the {seeds} "
        "seeds of seed_optimisation; leave one of them out",
    )
