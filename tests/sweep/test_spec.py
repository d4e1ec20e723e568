import dataclasses

import pytest

from limitbench.errors import InputError
from limitbench.sweep.grid import resolve_grid
from limitbench.sweep.spec import check_same_meaning, meaning_of, parse_spec, plan, request
from limitbench.testing.toy import STUDY, ToyNetwork

QUICK = STUDY.presets["quick"]


def _spec(grid, samples=None, stored=None, preset=QUICK):
    resolved = resolve_grid(STUDY, preset.grid, grid)
    return plan(meaning_of(STUDY, resolved, "exact", 0, "cpu"), resolved, preset, samples, 0.05, stored)


def _counts(spec):
    return {dict(column.point)["width"]: spec.samples[column.slug] for _, column in spec.axis_grid().columns()}


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("samples", 0, "a positive integer, at most 2^31 - 1"),
        ("samples", 2.5, "a positive integer, at most 2^31 - 1"),
        ("samples", True, "a positive integer, at most 2^31 - 1"),
        ("sampler", "sparse", "exact or dense"),
        ("seed", -1, "an integer from 0 to 2^63 - 1"),
        ("margin", float("nan"), "a positive number"),
        ("margin", "wide", "a positive number"),
        ("workers", 0, "a positive integer"),
        ("device", "tpu", "auto, cpu or cuda"),
    ],
)
def test_bad_options_name_field_value_and_what_is_accepted(field, value, accepted):
    with pytest.raises(InputError) as caught:
        request(**{field: value})
    assert str(caught.value) == f"{field}: got {value!r}, expected {accepted}"


def test_samples_are_rounded_up_to_whole_blocks_with_a_note():
    spec, notes = _spec({}, samples=65)
    assert _counts(spec) == {4: 128, 8: 128}
    assert notes == ["65 samples rounded up to 128: whole blocks of 64"]
    assert _spec({}, samples=128)[1] == []


def test_preset_counts_depend_on_width_unless_samples_are_given():
    assert _counts(_spec({})[0]) == {4: 128, 8: 192}
    assert _counts(_spec({}, samples=64)[0]) == {4: 64, 8: 64}


def test_extension_joins_grids_keeps_counts_and_never_shrinks():
    stored, _ = _spec({"width": [4, 8]}, samples=256)
    spec, notes = _spec({"width": [8, 16]}, samples=128, stored=stored)
    assert _counts(spec) == {4: 256, 8: 256, 16: 128}
    assert notes == ["the store holds cells beyond this run's grid; they are kept, and the joined grid is completed"]
    assert _counts(_spec({"width": [8]}, samples=512, stored=stored)[0]) == {4: 256, 8: 512}


def test_hash_covers_meaning_only():
    small, large = _spec({"width": [4]})[0], _spec({"width": [4, 8]}, samples=512)[0]
    assert small.meaning.hash == large.meaning.hash
    grid = resolve_grid(STUDY, QUICK.grid)
    assert meaning_of(STUDY, grid, "exact", 1, "cpu").hash != small.meaning.hash
    assert meaning_of(STUDY, grid, "dense", 0, "cpu").hash != small.meaning.hash
    newer = dataclasses.replace(STUDY, version=2)
    assert meaning_of(newer, grid, "exact", 0, "cpu").hash != small.meaning.hash


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"seed": 3}, "seed"),
        ({"sampler": "dense"}, "sampler"),
        ({"device": "cuda"}, "device"),
        ({"axes": ["width", "fault", "aspect"]}, "axes"),
        ({"theories": ["normal"]}, "theories"),
        ({"families": {"toy": 2}}, "families"),
    ],
)
def test_specs_of_other_meaning_are_refused_by_field(changed, field):
    meaning = _spec({})[0].meaning
    with pytest.raises(InputError) as caught:
        check_same_meaning(meaning, meaning.model_copy(update=changed), "here")
    assert caught.value.field == field


def test_a_grid_may_add_network_families():
    meaning = _spec({})[0].meaning
    check_same_meaning(meaning, meaning.model_copy(update={"families": {"toy": 1, "other": 4}}), "here")


def test_blocks_must_hold_whole_batches():
    study = dataclasses.replace(STUDY, block_samples={"exact": 48})
    with pytest.raises(InputError, match="a multiple of the batch size, 32"):
        meaning_of(study, resolve_grid(study), "exact", 0, "cpu")
    with pytest.raises(InputError, match="a sampler of toy: exact"):
        meaning_of(study, resolve_grid(study), "dense", 0, "cpu")


def test_specs_survive_their_json_and_damage_is_noticed():
    spec, _ = _spec({})
    text = spec.model_dump_json()
    assert parse_spec(text, "here") == spec
    for damaged in (None, "", "{}", text[:-5], text.replace('"seed":0', '"seed":"zero"')):
        with pytest.raises(InputError, match=r"^store: got 'here', expected a result store with an intact spec"):
            parse_spec(damaged, "here")


def test_seed_of_a_batch_knows_nothing_of_depth():
    assert ToyNetwork(4, 8).batch_seed(0, 1, "exact") == ToyNetwork(9, 8).batch_seed(0, 1, "exact")
