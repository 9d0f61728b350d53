"""Every family of sequence classifiers as a cross-encoder, from its folder to training."""

import pytest
from families import FAMILIES, Family, write_classifier
from family_checks import Check, has_sentence_transformers
from family_classifier_checks import CLASSIFIER_CHECKS

from sbert import CrossEncoder, InputError

REFUSED = "XLNet"  # its head reads the last position of a batch
CLASSIFIERS = [family for family in FAMILIES if family.has_classifier and family.name != REFUSED]


@pytest.mark.parametrize("check", CLASSIFIER_CHECKS.values(), ids=CLASSIFIER_CHECKS)
@pytest.mark.parametrize("family", CLASSIFIERS, ids=lambda family: family.name)
def test_classifiers(family: Family, check: Check, tmp_path):
    if check.__name__ == "pairs_equal_sentence_transformers" and not has_sentence_transformers():
        pytest.skip("sentence-transformers is not installed")
    check(family, tmp_path)


def test_a_head_that_reads_the_padding_is_refused(tmp_path):
    family = next(family for family in FAMILIES if family.name == REFUSED)
    with pytest.raises(InputError, match="the head of xlnet .* reads the padding of a batch"):
        CrossEncoder.from_pretrained(write_classifier(family, tmp_path))
