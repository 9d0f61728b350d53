"""Loading: teachers, what is refused and their identity; the memory that weights take."""

from pathlib import Path

import pytest
import torch
from cross_encoder_checks import write_roberta
from support import own_mib, write_config
from tiny_models import SIZE, bert_tokenizer, write_classifier
from transformers import AutoModel, BertConfig, BertModel

from sbert import BiEncoder, CrossEncoder
from sbert.errors import InputError
from sbert.models.loading import load_teacher, teacher_fingerprint


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("cross"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 3}, "has 3 classes; a cross-encoder with one label is needed"),
        (
            {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
            r"its activation is identity, so labels may lie outside \[0, 1\]; "
            "train it with BinaryCrossEntropyLoss",
        ),
    ],
)
def test_a_teacher_whose_labels_are_not_scores_from_0_to_1(tmp_path, options, message):
    folder = write_classifier(tmp_path / "cross", **options)
    with pytest.raises(InputError, match=f"teacher {folder}: {message}"):
        load_teacher(str(folder))


def test_a_teacher_that_is_none(tiny_folder):
    with pytest.raises(InputError, match="is a bi-encoder; a cross-encoder is needed"):
        load_teacher(str(tiny_folder))
    with pytest.raises(InputError, match="model no/such/folder: no such folder"):
        load_teacher("no/such/folder")


def test_the_identity_of_a_teacher(cross, tmp_path):
    teacher = load_teacher(str(cross))
    assert (
        teacher_fingerprint(str(cross))
        == teacher.fingerprint
        == CrossEncoder.from_pretrained(cross).fingerprint
    )
    assert teacher_fingerprint(teacher.fingerprint) == teacher.fingerprint
    teacher.save_pretrained(tmp_path / "copy")
    assert (
        teacher_fingerprint(str(tmp_path / "copy")) == teacher.fingerprint
    )  # of the weights, not of the folder
    before = teacher.fingerprint
    teacher.activation = "identity"
    assert teacher.fingerprint != before
    teacher.activation = "sigmoid"
    teacher.transformer.classifier.bias.data += 1e-3
    assert teacher.fingerprint != before


def test_a_plain_camembert_becomes_a_teacher(tmp_path, pairs_file, train_command):
    """The first step of the French recipe, configs/augsbert/stsb_fr.yaml."""
    folder = write_roberta(tmp_path / "encoder", model_type="camembert")
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    optim = {"lr": 1e-3, "batch_size": 8, "epochs": 1}
    config = write_config(tmp_path, folder, pairs_file, loss="BinaryCrossEntropyLoss", optim=optim)
    train_command(config)
    teacher = load_teacher(str(tmp_path / "runs/run/best"))
    score = teacher.predict([("a cat", "the house")])[0]
    assert 0 < score < 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.filterwarnings("ignore:.*unless so many are spare")
def test_word_embeddings_that_do_not_occur_are_not_read(tmp_path):
    table = 128  # MiB
    BertModel(BertConfig(vocab_size=table * 2**20 // (4 * 32), **SIZE)).save_pretrained(tmp_path)
    bert_tokenizer().save_pretrained(tmp_path)
    before = own_mib()
    model = BiEncoder.from_pretrained(tmp_path)
    model.encode(["A man is eating."])
    assert own_mib() - before < table / 2
    words, first = model.transformer.get_input_embeddings().weight, model.fingerprint
    with torch.no_grad():
        words[0] += 1  # the file keeps what it has
    assert model.fingerprint != first
    assert BiEncoder.from_pretrained(tmp_path).fingerprint == first
