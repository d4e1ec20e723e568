"""The study of unshaped networks: its ledger says yes, no and what it lacks, its figures draw what the run has."""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.studies.unshaped_relu.claims import FIGURE_ONE
from limitbench.sweep.grid import resolve_grid

STUDY = studies.get("unshaped-relu")


@pytest.fixture(scope="module")
def run():
    grid = {"slope_minus": [0.0, 0.5], "rho0": [0.3, 0.995], "width": [32, 64], "aspect": [0.25, 0.5, 1.0]}
    return limitbench.run("unshaped-relu", grid, samples=4096)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


def broken(run, change):
    """The run with other samples of ln q."""
    copy = run.copy(deep=True)
    samples = copy["samples"].to_dataset()
    copy["samples"] = xr.DataTree(samples.assign(log_q=change(samples["log_q"])))
    return {claim.name: claim for claim in STUDY.claims(copy)}


def test_all_cells_are_drawn_and_scored(run):
    assert (run["run"]["status"] == "done").all()
    relu = run["scores"]["distance"].sel(slope_minus=0.0, observable="log_q")
    assert relu.notnull().all()
    assert run["scores"]["distance"].sel(slope_minus=0.5, observable="log_q", theory="angle-law").isnull().all()


def test_ledger_finds_what_holds_and_what_fails(claims):
    for name in (
        "limit-far-at-quarter",
        "no-drift-rejected",
        "mean-w-t0.5",
        "mean-w-t1",
        "mean-w-needs-drift",
        "leaky-wide-angle-fails",
        "mean-w-leaky",
        "plain-constants-beat-published",
        "infinite-width-worse-with-depth",
    ):
        assert claims[name].verdict == "holds", claims[name]
    # unfinished convergence at width 64 is shown as such; what happens between the times is already right
    assert claims["process-values"].verdict == "fails"
    assert claims["process-increments"].verdict != "fails"
    assert claims["process-increments"].measured < 0.05 < claims["process-values"].measured
    assert claims["leaky-small-angle-holds"].measured < 0.05


def test_ledger_says_what_it_lacks(claims):
    for name in ("finite-start-holds", "limit-error-curve-t1", "angle-layer-1", "angle-layer-30"):
        assert claims[name].verdict == "undecided"
        assert math.isnan(claims[name].measured)
        assert "needs" in claims[name].text
    assert claims["angle-layer-10"].predicted == -4.9001


def test_every_claim_that_answers_has_a_command_and_a_score(claims):
    answered = [claim for claim in claims.values() if math.isfinite(claim.measured)]
    assert len(answered) >= 12
    for claim in answered:
        assert claim.command.startswith("limitbench run unshaped-relu --set slope_minus=")
        assert claim.name == "infinite-width-worse-with-depth" or math.isfinite(claim.distance)


def test_a_shift_of_log_q_makes_its_claims_fail(run):
    """The companion: ln q off by 0.2, a tenth of its sd and six standard errors."""
    claims = broken(run, lambda log_q: log_q + 0.2)
    assert claims["mean-w-t0.5"].verdict == "fails"
    assert claims["process-values"].verdict == "fails"


def test_networks_that_are_not_one_process_are_noticed(run):
    """The companion of the claim on increments: the same laws at each time, other networks at t = 1/2."""

    def strangers(log_q):
        other = log_q.isel(sample=slice(None, None, -1)).to_numpy()
        return log_q.where(log_q["aspect"] != 0.5, xr.DataArray(other, dims=log_q.dims, coords=log_q.coords))

    assert broken(run, strangers)["process-increments"].verdict == "fails"


def test_missing_drift_would_be_missed_if_networks_lacked_it(run):
    """The companion of the rejection: where ln q follows the version without + 2q, the claim says no."""
    from limitbench.theories.unshaped_relu import WithoutItoDrift

    law = WithoutItoDrift(64, 64).law("log_q")

    def obeying(log_q):
        drawn = law.sample(log_q.sizes["sample"], seed=1)
        return xr.zeros_like(log_q) + xr.DataArray(drawn, dims="sample")

    claims = broken(run, obeying)
    assert claims["mean-w-needs-drift"].verdict != "holds"


def test_figures_draw_what_the_run_has(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {"q-paths", "mean-w", "distance-by-width", "angle-by-layer"}
    for figure in figures.values():
        assert 1 <= len(figure.series) <= 8
        assert figure.caption
        assert "nan" not in figure.caption
        for series in figure.series:
            assert series.x.shape == series.y.shape
            assert (np.diff(series.x) > 0).all()
            assert np.isfinite(series.y).any()
    curve = next(s for s in figures["mean-w"].series if s.theory == "q-sde")
    np.testing.assert_allclose(curve.y, [0.0487, 0.1289, 0.4793], atol=6e-5)


def test_other_cells_neither_raise_nor_draw():
    tree = limitbench.run("unshaped-relu", {"slope_minus": [-0.5], "width": [8], "depth": [2]}, samples=4096)
    assert STUDY.figures(tree) == []
    assert all(claim.verdict in ("undecided", "holds", "fails") for claim in STUDY.claims(tree))


@pytest.mark.parametrize("grid", [{"width": [1, 2], "depth": [1, 2]}, {"width": [4], "depth": [1, 3, 4]}])
def test_figures_of_tiny_networks_leave_out_what_no_theory_says(grid):
    """Widths at which the SDEs put their law beyond 1 - rho = 2, and the expansions in 1/n are refused."""
    tree = limitbench.run("unshaped-relu", {"rho0": [0.3], **grid}, samples=512)
    for figure in STUDY.figures(tree):
        assert "nan" not in figure.caption
        assert all(np.isfinite(series.y).any() for series in figure.series)
    claims = {claim.name: claim for claim in STUDY.claims(tree)}
    assert claims["mean-w-needs-drift"].verdict in ("undecided", "holds")


@pytest.mark.parametrize("preset", ["quick", "standard", "full"])
def test_every_theory_answers_or_says_why_not_in_every_cell(preset):
    grid = resolve_grid(STUDY, STUDY.presets[preset].grid, {})
    columns = list(grid.columns())
    for _, column in columns[:: max(1, len(columns) // 16)]:
        for cell in (column.cells[0], column.cells[-1]):
            for theory in STUDY.theories:
                assert theory.skip(cell) is not None or theory.build(cell).observables


def test_scores_behind_claims_are_those_of_their_theories(run, claims):
    """Name: observable, theory, which D of which cells."""
    scores = run["scores"]["distance"]
    relu, leaky = scores.sel(slope_minus=0.0), scores.sel(slope_minus=0.5)
    table = {
        "limit-far-at-quarter": relu.sel(rho0=0.3, aspect=0.25, observable="log_q", theory="q-sde").min(),
        "leaky-wide-angle-fails": leaky.sel(rho0=0.3, observable="log_q", theory="q-sde-finite-start").min(),
        "leaky-small-angle-holds": leaky.sel(
            rho0=0.995, width=64, observable="log_q", theory="q-sde-finite-start"
        ).max(),
        "log-norm-holds": scores.sel(width=64, observable="log_norm", theory="q-sde").max(),
        "log-norm-exact": scores.sel(observable="log_norm", theory="finite-width-chain").max(),
    }
    for name, distance in table.items():
        assert claims[name].measured == pytest.approx(float(distance)), name
        assert math.isfinite(claims[name].measured), name


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.21, 0.3, "holds"), (0.19, 0.3, "undecided"), (0.1, 0.19, "fails")]
)
def test_a_missing_drift_is_rejected_from_a_distance_of_a_fifth_on(run, low, high, verdict):
    changed = run.copy(deep=True)
    scores = changed["scores"].to_dataset()
    bounds = {name: scores[name] * 0 + value for name, value in (("distance_low", low), ("distance_high", high))}
    changed["scores"] = xr.DataTree(scores.assign(bounds))
    (claim,) = (c for c in STUDY.claims(changed) if c.name == "no-drift-rejected")
    assert (claim.predicted, claim.relation, claim.verdict) == (0.2, "at least", verdict)


def test_predicted_angles_are_those_of_approximation_1():
    """E ln sin^2 theta' = ln sin^2 theta - (2/(3 pi)) theta - rho(n), iterated from theta_0 = 0.1 at n = 256."""
    n, x, found = 256, 2 * math.log(math.sin(0.1)), {}
    drop = math.log((n + 5) / (n - 1)) - 10 * n / (n + 5) ** 2 + 6 * n / (n - 1) ** 2
    for layer in range(1, 31):
        x -= 2 / (3 * math.pi) * math.asin(math.exp(x / 2)) + drop
        found[layer] = x
    assert {layer: found[layer] for layer in (1, 10, 30)} == pytest.approx(FIGURE_ONE, abs=6e-5)


def test_the_angle_of_a_wide_gap_is_not_that_of_a_small_one():
    """ln sin^2 theta = ln g (2 - g): gaps of 1.5 give ln 0.75; 256 networks do not tell from infinite width."""
    grid = {"rho0": [math.cos(0.1)], "width": [256], "depth": [1]}
    tree = limitbench.run("unshaped-relu", grid, samples=256)
    drawn = {claim.name: claim for claim in STUDY.claims(tree)}["angle-layer-1"]
    assert drawn.verdict == "undecided"
    assert abs(drawn.measured - drawn.predicted) < 4.5 * drawn.se
    claims = broken(tree, lambda log_q: log_q * 0 + math.log(1.5))
    assert claims["angle-layer-1"].measured == pytest.approx(math.log(0.75))
    assert claims["angle-layer-1"].verdict == "fails"
