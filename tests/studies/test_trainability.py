"""The ledger of `trainability` says yes and no on made-up accuracies."""

import dataclasses
import re

import numpy as np
import pytest

from limitbench.studies import get
from limitbench.studies.evidence import Evidence
from limitbench.studies.trainability import collapse, collapse_claims, edges, region_claims
from limitbench.studies.trainability.accuracies import Accuracies
from limitbench.studies.trainability.claims import tables_of
from limitbench.studies.trainability.designs import DESIGNS, mean_field
from limitbench.studies.trainability.predictors import initial_recurrences, predictor
from limitbench.studies.trainability.study import DEPTHS, VARIANCES

STUDY = get("trainability")
AXES = {"design": ["tanh-adam"], "data": ["digits"], "sigma_w2": list(VARIANCES), "width": [96], "depth": list(DEPTHS)}


# -- made-up accuracies -------------------------------------------------------------------------------------------


def cell_of(sigma_w2=1.0, depth=16, design="tanh-adam", data="digits", width=96):
    return {"design": design, "data": data, "sigma_w2": sigma_w2, "width": width, "depth": depth}


def by(name, *, noise=0.01, replicates=6, scale=1.0):
    """Accuracy that falls with one predictor past its value at sigma_w^2 = 1 and L = 16."""
    middle = {design: predictor(name, cell_of(design=design)) for design in DESIGNS}

    def draw(cell, random):
        off = predictor(name, cell) - middle["tanh-adam" if cell["design"].startswith("tanh") else "relu-adam"]
        accuracy = 0.9 - 0.15 * np.logaddexp(0, scale * off)
        drawn = np.clip(accuracy + noise * random.normal(size=replicates), 0.1, 1.0)
        ratio = predictor("gradient", cell) + 0.1 * random.normal(size=replicates)
        return {"test_accuracy": drawn, "diverged": np.zeros(replicates), "log_gradient_ratio": ratio}

    return draw


def ledger(tree):
    return {claim.name: claim for claim in STUDY.claims(tree)}


@pytest.fixture(scope="module")
def by_gradient(made_up_run):
    axes = AXES | {"design": ["relu-adam", "relu-adam-faint", "tanh-adam", "tanh-sgd"]}
    return made_up_run(STUDY, axes, by("gradient"), networks=6)


@pytest.fixture(scope="module")
def by_distance(made_up_run):
    axes = AXES | {"design": ["relu-adam", "relu-adam-faint", "tanh-adam"]}
    return made_up_run(STUDY, axes, by("distance"), networks=6)


def test_accuracies_that_follow_the_gradient_ratio_are_told(by_gradient):
    made = ledger(by_gradient)
    for name in ("tanh-adam-gradient-predicts", "tanh-sgd-gradient-predicts", "tanh-adam-product-collapses"):
        assert made[name].verdict == "holds", name
    assert made["relu-distance-predicts"].verdict == "fails"
    assert made["relu-one-norm-cannot-tell"].verdict == "holds"
    assert made["networks-have-the-predicted-gradients"].verdict == "holds"
    assert "ln χ₀/χ_L 1.00" in made["tanh-adam-gradient-predicts"].text
    for name in ("tanh-adam-gradient-predicts", "tanh-sgd-gradient-predicts", "tanh-adam-edge-gradient"):
        assert "abstract says either one or the other" in made[name].text
    assert sum("not the single split" in claim.text for claim in made.values()) == 1


def test_accuracies_that_follow_the_distance_are_told(by_distance):
    made = ledger(by_distance)
    assert made["tanh-adam-gradient-predicts"].verdict == "fails"
    assert made["relu-distance-predicts"].verdict == "holds"
    assert "rank correlation of the two predictors 0.8" in made["relu-distance-predicts"].text
    assert made["relu-larger-distance-is-better"].verdict == "fails"


def test_predictors_that_explain_nothing_decide_nothing(made_up_run):
    """Two depths that train and two that do not, at any variance: no curve of one predictor is common to all."""

    def draw(cell, random):
        return {"test_accuracy": (0.9 if cell["depth"] in (4, 16) else 0.1) + 0.001 * random.normal(size=6)}

    axes = AXES | {"depth": [4, 8, 16, 32]}
    words = ("tanh-adam",), ("variance", "gradient"), "name", "Words"
    claim = asked(made_up_run, draw, collapse_claims.difference, *words, axes=axes)
    assert claim.verdict == "undecided"
    assert "neither of them explains anything" in claim.text


def test_few_replicates_decide_nothing(made_up_run):
    few = made_up_run(STUDY, AXES, by("gradient", replicates=4), networks=4)
    made = ledger(few)
    assert made["tanh-adam-gradient-predicts"].measured > 0.1
    assert {made[name].verdict for name in made if name != "networks-have-the-predicted-gradients"} == {"undecided"}


def asked(made_up_run, draw, kind, *arguments, axes=AXES):
    """One claim, or the list of them, on a made-up run of six replicates."""
    evidence = Evidence(STUDY, made_up_run(STUDY, axes, draw, networks=6))
    return kind(evidence, tables_of(evidence, "digits"), *arguments)


@pytest.mark.parametrize(("exponent", "verdict"), [(-1.0, "holds"), (-0.6, "fails")])
def test_slope_of_the_edge_is_measured_and_can_fail(made_up_run, exponent, verdict):
    """Accuracy 0.95 up to an edge at sigma_w^2 = 3 (L/4)^exponent, then down by 0.2 a unit of ln sigma_w^2."""

    def draw(cell, random):
        past = np.log(cell["sigma_w2"] / (3 * (cell["depth"] / 4) ** exponent))
        accuracy = 0.95 - 0.2 * max(past, 0.0) + 0.005 * random.normal(size=6)
        return {"test_accuracy": np.clip(accuracy, 0.1, 1)}

    axes = AXES | {"sigma_w2": sorted([2.0, *np.geomspace(1e-3, 10, 17).tolist()])}
    claim = asked(made_up_run, draw, region_claims.edge_slope, "tanh-adam", "Tanh", axes=axes)
    assert claim.measured == pytest.approx(exponent, abs=0.1)
    assert claim.verdict == verdict


def test_edge_is_found_by_interpolation_and_only_where_the_grid_reaches_it():
    variances = np.exp([0.0, 1.0, 2.0, 3.0])
    mean = np.array([[0.9, 0.8, 0.9, 0.8], [0.9, 0.9, 0.9, 0.86], [0.5, np.nan, 0.9, 0.1]])
    found = edges.upper_edges(mean, variances)
    np.testing.assert_allclose(found[[0, 2]], [2.5, 2 + 0.05 / 0.8])
    assert np.isnan(found[1])


def test_deficit_is_free_of_the_noise_of_a_maximum():
    """Equal accuracies at 60 depths: no deficit, although the largest of ten means is above; a real one is seen."""
    table = 0.8 + 0.02 * np.random.default_rng(4).normal(size=(60, 10, 6))
    table[-1, 4] += 0.1
    made = Accuracies("tanh-adam", np.arange(1.0, 61.0), np.array(VARIANCES), table, ())
    deficit, se = edges.deficits(made)
    naive = made.mean.max(axis=1) - made.mean[:, [6, 7]].max(axis=1)
    assert naive[:-1].mean() > 0.006
    assert deficit[:-1].mean() < 0.0
    assert (np.abs(deficit[:-1]) < 4.5 * se[:-1]).all()
    assert deficit[-1] == pytest.approx(0.1, abs=0.03)


def test_bootstrap_has_the_standard_error_of_a_mean_of_few_replicates():
    """Over 400 cells of three replicates: within 3 %, and a bootstrap that draws all three would be 18 % too small."""
    table = np.random.default_rng(6).normal(size=(20, 20, 3))
    made = Accuracies("tanh-adam", np.arange(20.0), np.arange(20.0), table, ())
    spread = made.resampled(np.random.default_rng(0)).std(axis=0)
    assert np.sqrt((spread**2).mean() / (made.se**2).mean()) == pytest.approx(1.0, abs=0.03)


def test_deficit_claims_hold_and_fail(made_up_run):
    def draw(cell, random):
        better = 0.1 if cell["depth"] >= 32 and cell["sigma_w2"] == 0.1 else 0.0
        return {"test_accuracy": 0.8 + better + 0.001 * random.normal(size=6)}

    verdicts = [claim.verdict for claim in asked(made_up_run, draw, region_claims.deficit_claims, "tanh-adam", "")]
    assert verdicts == ["fails", "fails", "fails", "holds", "holds"]


@pytest.mark.parametrize(
    ("full", "plain", "verdict", "words"),
    [
        (64, 16, "holds", "(64 or more and 17.3 of 64)"),
        (16, 64, "fails", "(17.3 and 64 or more of 64)"),
        (64, 64, "undecided", "(64 or more and 64 or more of 64)"),
    ],
)
def test_plain_networks_stop_first_only_if_they_stop(full, plain, verdict, words, made_up_run):
    """Accuracies that differ by 0.02 where both train say nothing, however well they are known."""

    def draw(cell, random):
        is_plain = cell["design"].startswith("plain")
        trained = cell["depth"] <= (plain if is_plain else full)
        return {"test_accuracy": (0.95 - 0.02 * is_plain if trained else 0.2) + 0.002 * random.normal(size=6)}

    axes = AXES | {"design": ["plain-tanh-adam", "tanh-adam"]}
    claim = asked(made_up_run, draw, region_claims.plain_stops_first, axes=axes)
    assert claim.verdict == verdict
    assert re.sub(r"\b(16|17|18)(\.\d)?\b", "17.3", claim.text).endswith(f"{words}.")


@pytest.mark.parametrize(
    ("smallest", "verdict", "gap"), [(0.3, "holds", 0.6), (0.9, "undecided", 0.0), (0.95, "fails", -0.05)]
)
def test_smallest_variance_is_compared_with_the_best_of_the_others(made_up_run, smallest, verdict, gap):
    def draw(cell, random):
        accuracy = smallest if cell["sigma_w2"] == 0.001 else 0.9
        return {"test_accuracy": accuracy + 0.01 * random.normal(size=6)}

    axes = AXES | {"design": ["tanh-sgd"]}
    claim = asked(made_up_run, draw, region_claims.interior_optimum, axes=axes)
    assert claim.verdict == verdict
    assert abs(claim.measured - gap) < 4.5 * claim.se < 0.05


def test_lead_of_the_best_has_no_bias_where_cells_are_equally_good_and_unequally_noisy():
    """Sorted replicates as tables have them: within 4.5 s.e. of 0 over 300 rows; halves of equal ranks give 0.005."""
    random = np.random.default_rng(8)
    spread = np.array([0.01, 0.01, 0.01, 0.03, 0.03])
    found = []
    for _ in range(300):
        row = np.sort(0.8 + spread[:, None] * random.normal(size=(5, 6)), axis=1)
        found.append(edges._lead(row, [1, 2, 3, 4], [0], random))
    assert abs(np.mean(found)) < 4.5 * np.std(found) / len(found) ** 0.5 < 0.004


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (lambda f: f, "holds"),
        (lambda f: 0.99 * f, "holds"),
        (lambda f: 0.9 * f, "fails"),
        (lambda f: 1.1 * f, "fails"),
        (lambda f: f - 0.3, "fails"),
    ],
)
def test_wrong_gradients_before_training_are_noticed(made_up_run, measured, verdict):
    """Nine tenths of the predicted ratio leave 97 % of the variance explained: a share of variance would not notice."""

    def draw(cell, random):
        ratio = measured(predictor("gradient", cell)) * (1 + 0.03 * random.normal(size=6))
        return {"test_accuracy": np.full(6, 0.9), "log_gradient_ratio": ratio}

    assert asked(made_up_run, draw, collapse_claims.predicted_gradients).verdict == verdict


@pytest.mark.parametrize(("slope", "verdict"), [(0.02, "holds"), (-0.02, "fails")])
def test_accuracy_that_rises_or_falls_with_distance_is_told(made_up_run, slope, verdict):
    """Rising up to the cells that diverge, which do not count."""

    def draw(cell, random):
        diverged = cell["sigma_w2"] > 3
        accuracy = 0.1 if diverged else 0.6 + slope * np.log(cell["sigma_w2"])
        return {"test_accuracy": accuracy + 0.005 * random.normal(size=6), "diverged": np.full(6, float(diverged))}

    claim = asked(made_up_run, draw, collapse_claims.larger_distance, axes=AXES | {"design": ["relu-adam"]})
    assert claim.verdict == verdict
    assert claim.measured == pytest.approx(1.0 if verdict == "holds" else -1.0, abs=0.05)


@pytest.mark.parametrize("between", [0.0, 0.05])
def test_accuracies_without_relation_to_distance_have_no_rank_correlation(made_up_run, between):
    """Equal cells, or cells that differ at random: mean over 20 runs within 4.5 s.e. of 0, at most 5 called `fails`.

    At a false alarm of 2.5 % six of 20 have a probability of 1e-5. Cells from the best of each depth on give -0.4.
    """
    random = np.random.default_rng(9)

    def draw(cell, _):
        return {"test_accuracy": 0.8 + between * random.normal() + 0.01 * random.normal(size=6)}

    axes = AXES | {"design": ["relu-adam"]}
    made = [asked(made_up_run, draw, collapse_claims.larger_distance, axes=axes) for _ in range(20)]
    found = np.array([claim.measured for claim in made])
    assert abs(found.mean()) < 4.5 * found.std() / 20**0.5 < 0.2
    assert sum(claim.verdict == "fails" for claim in made) <= 5


@pytest.mark.parametrize("kept", [lambda c: False, lambda c: c["depth"] < 16, lambda c: c["sigma_w2"] > 1])
def test_missing_cells_never_raise(made_up_run, kept):
    draw = by("gradient")
    tree = made_up_run(STUDY, AXES, lambda cell, random: draw(cell, random) if kept(cell) else None, networks=6)
    made = ledger(tree)
    missing = [claim for claim in made.values() if np.isnan(claim.measured)]
    assert all(claim.verdict == "undecided" and "needs" in claim.text for claim in missing)
    assert {"mnist", "place-of-the-best"} <= made.keys()
    STUDY.figures(tree)


def test_images_that_are_not_at_hand_leave_claims_and_figures_out(made_up_run):
    def draw(cell, random):
        return {"test_accuracy": 0.9 + 0.01 * random.normal(size=6)}

    tree = made_up_run(STUDY, AXES | {"data": ["idx-00000000"]}, draw, networks=6)
    made = ledger(tree)
    assert "needs data: got 'idx-00000000'" in made["tanh-adam-gradient-predicts-idx-00000000"].text
    assert np.isfinite(made["tanh-adam-deficit-d64-idx-00000000"].measured)
    assert "mnist" not in made
    assert {figure.name for figure in STUDY.figures(tree)} == {"map-tanh-adam", "deficit-of-xavier-and-he"}


def test_figures_have_finite_points_within_their_limits(by_gradient):
    drawn = STUDY.figures(by_gradient)
    assert {figure.name for figure in drawn} >= {
        "map-tanh-adam",
        "accuracy-on-the-gradient-ratio",
        "accuracy-on-the-distance",
        "relu-images",
    }
    for figure in drawn:
        assert 1 <= len(figure.series) <= 8
        for series in figure.series:
            assert 1 <= len(series.x) <= 60
            assert np.isfinite(series.x).all()
            assert np.isfinite(series.y).all()
    shades = drawn[0].heat
    assert shades is not None
    assert shades.values.shape == (5, 10)
    (contour,) = (s for s in drawn[0].series if s.label == "ln χ₀/χ_L = 4")
    for sigma_w2, depth in zip(contour.x, contour.y, strict=True):
        field = mean_field(cell_of(sigma_w2=float(sigma_w2)))
        assert field.log_gradient_ratio(int(depth)) == pytest.approx(4.0, abs=1e-3)


# -- the fit ------------------------------------------------------------------------------------------------------


def test_fit_rises_then_falls_and_is_the_best_such():
    random = np.random.default_rng(2)
    for _ in range(20):
        y, weights = random.normal(size=7), random.integers(1, 4, size=7).astype(float)
        fit = collapse.unimodal_fit(y, weights)
        top = int(np.argmax(fit))
        assert (np.diff(fit[: top + 1]) >= -1e-12).all()
        assert (np.diff(fit[top:]) <= 1e-12).all()
        error = (weights * (y - fit) ** 2).sum()
        for k in range(8):
            parts = [
                collapse.isotonic_regression(y[part], weights=weights[part], increasing=up).x
                for part, up in ((slice(0, k), True), (slice(k, None), False))
                if len(y[part])
            ]
            assert error <= (weights * (y - np.concatenate(parts)) ** 2).sum() + 1e-12


def test_share_is_one_for_a_common_curve_and_not_for_a_curve_of_each_depth():
    depth = np.repeat([4.0, 8.0, 16.0], 20)
    x = np.tile(np.linspace(-3, 3, 20), 3)
    assert collapse.explained(x, -(x**2), depth) > 0.99
    assert collapse.explained(x, -((x - depth) ** 2), depth) < 0.5
    assert np.isnan(collapse.explained(x[:20], x[:20], depth[:20]))


# -- theory -------------------------------------------------------------------------------------------------------


def test_networks_before_training_have_the_gradients_and_distances_of_theory():
    """Width 96: means of 8 networks within 4.5 standard errors plus the 1/N bias, var/2 of a log; tanh and ReLU."""
    for design in ("tanh-adam", "relu-adam", "plain-tanh-adam", "reduced-tanh-adam", "relu-adam-close"):
        cell = cell_of(sigma_w2=1.5, depth=6, design=design)
        theory = initial_recurrences(cell)
        drawn = dataclasses.replace(STUDY.network(cell), epochs=1, images=1347).sample(8)  # one step of training
        for name in theory.observables:
            x, wanted = drawn[name].to_numpy(), theory.law(name).mean
            allowed = 4.5 * x.std(ddof=1) / 8**0.5 + x.var(ddof=1) / 2 + 0.05
            assert abs(x.mean() - wanted) < allowed, (design, name, x.mean(), wanted)
            assert abs(x.mean() - (wanted + 1.0)) > allowed  # the companion: a unit more is noticed


def test_faint_images_shift_the_distance_and_leave_the_gradient_of_relu():
    plain, faint = (cell_of(design=d) for d in ("relu-adam", "relu-adam-faint"))
    assert predictor("gradient", plain) == pytest.approx(predictor("gradient", faint))
    assert predictor("distance", plain) - predictor("distance", faint) > 3.0
