"""Figures show what the data say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from limitbench.report.figures import overlays, throughput
from limitbench.report.figures.overlays import overlay_of
from limitbench.report.figures.throughput import speeds_of
from limitbench.report.fits import errors_of, fit_errors, predicted_errors
from limitbench.report.heatmap import heat_map
from limitbench.report.panels import Detail, overlay_widths
from limitbench.report.results import Results
from limitbench.report.style import HEAT_EDGES, heat_class, log_ticks

Maker = Callable[..., xr.DataTree]


def _at(results: Results, **values: float) -> int:
    return next(k for k, s in enumerate(results.slices) if all(s.values[a] == v for a, v in values.items()))


def test_map_prints_a_verdict_in_every_cell_and_describes_the_extremes(synthetic_tree: xr.DataTree) -> None:
    results = Results(synthetic_tree)
    found = heat_map(results, results.slices[_at(results, rate=0.5, c_minus=-1.0)], "correlation", "covariance-sde")
    assert [depth for depth, _ in found.rows] == ["1", "0.25"]
    assert [text for _, cells in found.rows for _, text in cells] == ["✗ 0.75", "✗ 0.38", "✗ 0.19"] * 2
    description = found.description.replace("\u00a0", " ")
    assert description.startswith("D from 0.19 (n = 256, d/n = 0.25) to 0.75 (n = 16, d/n = 0.25)")


def test_map_marks_the_margin_only_where_it_is_crossed(synthetic: Maker) -> None:
    def edges(offset: Callable[..., float]) -> list[str]:
        results = Results(synthetic(offset=offset))
        found = heat_map(results, results.slices[0], "correlation", "covariance-sde")
        return [css.partition(" ")[2] for _, cells in found.rows for css, _ in cells]

    assert edges(lambda theory, **cell: 0.01) == [""] * 6
    assert edges(lambda theory, width, **cell: 0.01 if width > 16 else 0.4) == ["r", "", ""] * 2
    assert edges(lambda theory, aspect, **cell: 0.01 if aspect < 1 else 0.4) == ["b"] * 3 + [""] * 3


def test_heat_classes_part_at_the_margin() -> None:
    assert heat_class(-0.01, 0.05) == 0
    assert heat_class(0.05, 0.05) == HEAT_EDGES.index(1.0)
    assert heat_class(0.0501, 0.05) == HEAT_EDGES.index(1.0) + 1
    assert heat_class(99.0, 0.05) == len(HEAT_EDGES)


def test_fitted_exponent_is_that_of_the_scores(synthetic_tree: xr.DataTree) -> None:
    results = Results(synthetic_tree)
    at = results.slices[_at(results, rate=0.5)]
    fit = fit_errors(errors_of(results, at, 1, "correlation", "covariance-sde"))
    assert fit is not None
    assert fit.b == pytest.approx(0.5, abs=1e-4)
    assert fit.a == pytest.approx(3.0, rel=1e-3)


def test_errors_within_the_noise_are_not_fitted(synthetic: Maker) -> None:
    tree = synthetic()
    tree["scores"]["wasserstein_null"][:] = 10.0
    results = Results(tree)
    assert fit_errors(errors_of(results, results.slices[0], 1, "correlation", "covariance-sde")) is None


def test_error_predicted_from_two_normal_laws_is_the_shift_over_the_sd(synthetic_tree: xr.DataTree) -> None:
    """W1 of two shifted equal laws is the shift; the table leaves out 2e-4 of the mass, hence the tolerance."""
    results = Results(synthetic_tree)
    at = results.slices[_at(results, rate=0.5)]
    predicted = predicted_errors(results, at, 1, "correlation", "covariance-sde", "covariance-sde-corrected")
    expected = 3 * np.array([16.0, 64.0, 256.0]) ** -0.5 - 0.004
    np.testing.assert_allclose(predicted, expected, rtol=0.01)
    against_a_point = predicted_errors(results, at, 1, "correlation", "covariance-sde", "infinite-width")
    assert np.isnan(against_a_point).all()


def test_overlay_names_the_nearest_law(synthetic_tree: xr.DataTree) -> None:
    results = Results(synthetic_tree)
    index = results.cell_index(results.slices[_at(results, rate=0.5)], 0, 1)
    overlay = overlay_of(results, "correlation", index)
    assert overlay is not None
    description, sentence = overlays.describe(results, overlay)
    assert "nearest is covariance-sde-corrected" in sentence
    assert "infinite-width: a single point at" in description
    assert len(overlays.overlay_figure(results, "correlation", overlay).axes) == 2


def test_a_cell_without_samples_has_no_overlay(synthetic: Maker) -> None:
    results = Results(synthetic(finished=0.0))
    assert overlay_of(results, "correlation", results.cell_index(results.slices[0], 0, 0)) is None


@pytest.mark.parametrize("stray", [0.0, 0.5])
def test_one_value_but_for_rounding_has_no_overlay(synthetic_tree: xr.DataTree, stray: float) -> None:
    """A stray network beyond the quantiles drawn does not widen the picture."""
    results = Results(synthetic_tree.copy(deep=True))
    index = results.cell_index(results.slices[0], 0, 0)
    values = np.where(np.arange(512) % 2, 1.0, 1.0 - 2e-16)
    values[0] -= stray
    results.tree["samples"]["correlation"][index] = values
    assert overlay_of(results, "correlation", index) is None
    results.tree["samples"]["correlation"][index] = np.linspace(0.9, 1.0, 512)
    assert overlay_of(results, "correlation", index) is not None


def test_speed_at_one_width_is_one_number(synthetic_tree: xr.DataTree) -> None:
    alone = speeds_of(Results(synthetic_tree.isel(width=[0])))
    assert alone is not None
    assert throughput.describe(alone).startswith("312 networks per second at n = 16, drawn")
    both = speeds_of(Results(synthetic_tree))
    assert both is not None
    assert throughput.describe(both).startswith("From 312 networks per second at n = 16 to 19.5 at n = 256, drawn")


def test_overlays_are_at_the_smallest_and_the_largest_width_where_there_is_room(synthetic_tree: xr.DataTree) -> None:
    results = Results(synthetic_tree)  # widths 16, 64, 256; two observables
    assert overlay_widths(results, Detail(2, 1, 2)) == [2]
    assert overlay_widths(results, Detail(2, 1, 3)) == [0, 2]
    assert overlay_widths(Results(synthetic_tree.isel(width=[1])), Detail(2, 1, 3)) == [0]


def test_log_ticks_are_round_and_at_least_two() -> None:
    assert log_ticks(0.5, 200.0) == [1.0, 10.0, 100.0]
    assert log_ticks(11.0, 60.0) == [20.0, 50.0]
