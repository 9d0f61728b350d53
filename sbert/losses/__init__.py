"""Training losses, one family a file. A configuration names a loss by its class name alone."""

from sbert.losses.base import JointLoss, Loss
from sbert.losses.batch_triplet import BatchHardTripletLoss, BatchSemiHardTripletLoss
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.cross_encoder import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    LocalizedContrastiveLoss,
    MSELoss,
    PairLoss,
)
from sbert.losses.distillation import DistillKLDivLoss, EmbeddingMSELoss, MarginMSELoss
from sbert.losses.language_model import MaskedLanguageModelLoss
from sbert.losses.matryoshka import MatryoshkaLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import AnglELoss, CoSENTLoss, CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss

__all__ = [
    # base classes
    "JointLoss",
    "Loss",
    "PairLoss",
    # bi-encoders
    "AnglELoss",
    "BatchHardTripletLoss",
    "BatchSemiHardTripletLoss",
    "CoSENTLoss",
    "ContrastiveLoss",
    "CosineSimilarityLoss",
    "DistillKLDivLoss",
    "EmbeddingMSELoss",
    "MarginMSELoss",
    "MaskedLanguageModelLoss",
    "MatryoshkaLoss",
    "MultipleNegativesRankingLoss",
    "SoftmaxLoss",
    "TripletLoss",
    # cross-encoders
    "BinaryCrossEntropyLoss",
    "CrossEntropyLoss",
    "LocalizedContrastiveLoss",
    "MSELoss",
]
