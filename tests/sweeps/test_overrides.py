"""Dotted options in nested configurations; placeholders; labels; which option overrides which."""

import pytest

from sbert.errors import InputError
from sbert.sweeps.overrides import axes_label, fill_placeholders, overrides, set_option


def options() -> dict:
    return {
        "optim": {"lr": 1e-5},
        "data": {"train": [{"path": "a", "limit": None}, {"path": "b", "limit": 7}]},
        "loss": {
            "class_path": "A",
            "init_args": {"margin": 1.0, "inner": {"class_path": "B", "init_args": {"x": 1}}},
        },
    }


def leaves(node: object, prefix: str = "") -> dict[str, object]:
    """{dotted name: value} of all that is no dict and no list."""
    parts = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else None
    )
    if parts is None:
        return {prefix[:-1]: node}
    return {
        name: value
        for key, part in parts
        for name, value in leaves(part, f"{prefix}{key}.").items()
    }


@pytest.mark.parametrize(("path", "changed"), [
    ("optim.lr", ["optim.lr"]),
    ("data.train.1.limit", ["data.train.1.limit"]),
    ("data.train.*.limit", ["data.train.0.limit", "data.train.1.limit"]),
    ("loss.margin", ["loss.init_args.margin"]),
    ("loss.init_args.margin", ["loss.init_args.margin"]),
    ("loss.other", ["loss.init_args.other"]),  # its parser knows whether a class has it
    ("loss.inner.x", ["loss.init_args.inner.init_args.x"]),
])  # fmt: skip
def test_an_option_is_set_and_nothing_else(path, changed):
    after = options()
    set_option(after, path, 3)
    assert leaves(after) == leaves(options()) | dict.fromkeys(changed, 3)


def test_a_class_by_its_name_takes_options():
    changed = options()
    set_option(changed, "loss", "C")
    set_option(changed, "loss.margin", 2)
    assert changed["loss"] == {"class_path": "C", "init_args": {"margin": 2}}


def test_the_value_is_not_shared():
    first, second, value = options(), options(), [{"path": "c"}]
    set_option(first, "data.train", value)
    set_option(second, "data.train", value)
    set_option(first, "data.train.0.path", "d")
    assert second["data"]["train"] == value == [{"path": "c"}]


@pytest.mark.parametrize(("path", "message"), [
    ("optim.lrr", "'lrr' is not one of lr"),
    ("optimm.lr", "'optimm' is not one of optim, data, loss"),
    ("optim.lr.x", "'x' is not one of no options"),
    ("data.train.2.limit", "'2' is not one of 0, 1, *"),
    ("data.train.first.limit", "'first' is not one of 0, 1, *"),
    ("data.train.*.limti", "'limti' is not one of path, limit"),
    ("loss.outer.x", "'outer' is not one of"),
])  # fmt: skip
def test_unknown_options(path, message):
    with pytest.raises(InputError) as error:
        set_option(options(), path, 1)
    assert message in str(error.value)


def test_placeholders_are_filled_with_the_values_of_axes():
    axes = {"seed": 3, "optim.lr": 2e-5, "variant": "u, v"}
    assert fill_placeholders("runs/seed={seed}/{optim.lr}", axes, "x") == "runs/seed=3/2e-05"
    assert fill_placeholders({"a": ["{seed}", 1, None, True]}, axes, "x") == {
        "a": ["3", 1, None, True]
    }
    assert fill_placeholders("{variant}", axes, "x") == "u_v"  # as in the folder's name
    assert fill_placeholders("sts/{language}/{seed}", axes, "x") == "sts/{language}/3"
    message = r"model.path: \{fold\} is not an axis .*; the axes are: seed, optim.lr, variant$"
    with pytest.raises(InputError, match=message):
        fill_placeholders("{fold}", axes, "model.path")


def test_labels_are_names_of_folders():
    axes = {
        "variant": "(u, |u-v|, u*v)",
        "optim.lr": 2e-5,
        "model.path": "models/a",
        "data.train.*.limit": 3,
    }
    assert axes_label(axes) == "u_u-v_uxv,optim.lr=2e-05,model.path=models_a,data.train.x.limit=3"
    assert (
        axes_label(axes, str)
        == "(u, |u-v|, u*v),optim.lr=2e-05,model.path=models/a,data.train.*.limit=3"
    )


@pytest.mark.parametrize(("later", "earlier", "expected"), [
    ("optim.lr", "optim.lr", True),
    ("optim", "optim.lr", True),
    ("optim.lr", "optim", False),
    ("optim.lr", "optim.lrr", False),
    ("data.train.*.limit", "data.train.0.limit", True),
    ("data.train.0.limit", "data.train.*.limit", True),
    ("data.train.1.limit", "data.train.0.limit", False),
    ("data.train", "data.train.*.limit", True),
])  # fmt: skip
def test_which_option_overrides_which(later, earlier, expected):
    assert overrides(later, earlier) is expected
