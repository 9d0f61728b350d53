"""What a scorer can evaluate, and which of its classifiers is for a dataset."""

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, with_classes
from sbert.errors import require
from sbert.evaluation.scorers import Classifier, Scorer


def find_classifier(rows: Rows, scorer: Scorer) -> Classifier:
    """The classifier of the rows of a dataset.

    Of several it is the one that was trained on the dataset of this name, or else the one that was
    trained on these classes. Of single texts a dataset may lack some of them.

    Raises:
        InputError: there is none, or it is not known which.
    """
    known = [one for one in scorer.classifiers if one.columns == len(rows.texts)]
    require(
        known,
        f"{rows.name}: NLI needs a classifier: the head of SoftmaxLoss, or a cross-encoder of "
        "several classes",
    )
    if len(known) == 1:
        return known[0]
    fitting = [one for one in known if one.dataset == rows.name]
    fitting = fitting or [one for one in known if _has_classes(one, rows)]
    require(
        len(fitting) == 1,
        f"{rows.name}: {len(fitting)} of the heads for {', '.join(one.dataset for one in known)} "
        f"have its classes, {', '.join(rows.classes)}; give it the name of the dataset whose head "
        "is to classify it",
    )
    return fitting[0]


def _has_classes(classifier: Classifier, rows: Rows) -> bool:
    if rows.task == "class":
        return set(rows.classes) <= set(classifier.classes or [])
    return classifier.classes == rows.classes


def _check_classes(rows: Rows, classifier: Classifier) -> None:
    """Refuse pairs of other classes than those of their classifier, where these are known."""
    require(
        not (rows.classes and classifier.classes) or rows.classes == classifier.classes,
        f"{rows.name}: classes {rows.classes}; the model was trained on {classifier.classes}",
    )
    require(
        not rows.classes or len(rows.classes) == classifier.num_labels,
        f"{rows.name}: {len(rows.classes or [])} classes; the model has {classifier.num_labels}",
    )


def find_text_classifier(rows: Rows, scorer: Scorer) -> Classifier | None:
    """The classifier of single texts, as `find_classifier`; None if none was trained."""
    trained = any(one.columns == 1 for one in scorer.classifiers)
    return find_classifier(rows, scorer) if trained else None


def with_text_classes(rows: Rows, classifier: Classifier | None) -> Rows:
    """Single texts with their labels as numbers of the classes of their classifier, if any.

    Raises:
        InputError: the first row of another class.
    """
    known = classifier and classifier.classes
    return with_classes(rows, known) if known else rows


def check_supported(rows: Rows | Retrieval, scorer: Scorer) -> None:
    """Refuse a dataset whose task the model cannot do.

    Raises:
        InputError: the task needs embeddings, classes, or scores that the scorer does not have, or
            its classes are others.
    """
    require(
        rows.task != "retrieval" or scorer.search,
        f"{rows.name}: a cross-encoder alone cannot search a corpus; give it to evaluate.py as the "
        "reranker of a bi-encoder",
    )
    require(
        rows.task != "text" or scorer.token_losses,
        f"{rows.name}: task text has no labels to evaluate by; texts are evaluated by train.py "
        "with MaskedLanguageModelLoss, or with their classes, as task class",
    )
    require(
        rows.task != "class" or scorer.embed,
        f"{rows.name}: task class has single texts, and a cross-encoder reads pairs; evaluate a "
        "bi-encoder",
    )
    require(
        rows.task != "pair" or scorer.embed,
        f"{rows.name}: task pair searches all second texts for that of each first text, which a "
        "cross-encoder cannot; evaluate a bi-encoder",
    )
    if rows.task == "nli":
        _check_classes(rows, find_classifier(rows, scorer))
    if rows.task == "class":
        with_text_classes(rows, find_text_classifier(rows, scorer))
    require(
        rows.task == "nli" or scorer.score,
        f"{rows.name}: task {rows.task} needs a model that scores pairs, and this one classifies "
        "them",
    )
