"""The catalogue of observables: one quantity of one network each, with the words and symbols that reports use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sample", "statistic", "prediction"]


@dataclass(frozen=True)
class Observable:
    """One quantity of one network.

    Attributes:
        name: identifier, the same in code, store and report.
        title: a few words for headings.
        symbol: formula in plain Unicode.
        description: one sentence with units and convention.
        kind: `sample` (one value per network), `statistic` (value with standard error), `prediction`.
    """

    name: str
    title: str
    symbol: str
    description: str
    kind: Kind = "sample"


OBSERVABLES: dict[str, Observable] = {
    o.name: o
    for o in (
        Observable(
            "correlation", "correlation", "ρ_d", "Correlation of two inputs' features after d hidden layers, from V_d."
        ),
        Observable(
            "log_gap",
            "log gap",
            "ln(1 − ρ_d)",
            "Natural log of one minus the correlation; float64, resolved far below 1e-12.",
        ),
        Observable(
            "log_norm",
            "log squared norm",
            "ln V_d/V_0",
            "Natural log of the ratio of squared feature norms of the first input, layer d over layer 0; for ResNets "
            "less d ln s, s the growth of the mean square in a block.",
        ),
        Observable(
            "log_q",
            "log of q",
            "ln q_l",
            "ln(l² (1 − ρ_l)), layer number squared times one minus the correlation.",
        ),
        Observable(
            "log_output",
            "log squared norm of the outputs",
            "ln |z_out|²",
            "Log of the squared norm of all outputs together, for an input with |x|² = n_in.",
        ),
        Observable(
            "log_jacobian",
            "log squared norm of Ju",
            "ln |Ju|²/|u|²",
            "Log squared gain of the Jacobian of z_d by z_0 in a random direction u, with d ln s taken off.",
        ),
        Observable(
            "log_gradient",
            "log squared norm of the gradient",
            "ln |J'v|²/|v|²",
            "Log squared gain of a gradient on its way back, in a random direction v: in MLPs from the output to the "
            "units of layer l, in ResNets from z_l to z_0, with l ln s taken off.",
        ),
        Observable(
            "log_weight_gradient",
            "log squared norm of a layer's weight gradient",
            "ln |∂E/∂W_l|²/n_{l−1}",
            "Log squared Frobenius norm of the gradient of one output by the weights of layer l, per unit that they "
            "read, for an input with |x|² = n_0.",
        ),
        Observable("dead", "dead", "1{dead}", "1 where every unit of some layer up to l is off, else 0."),
        Observable(
            "active_fraction",
            "active fraction",
            "#{z_i > 0}/n",
            "Share of the entries of z_d that are positive, for the first input.",
        ),
        Observable(
            "relu_share",
            "share of the norm that passes",
            "A_d = |φ(z_d)|²/|z_d|²",
            "Share of the squared norm of z_d in its positive entries, after the next block's signs if it has any.",
        ),
        Observable(
            "exploded",
            "exploded",
            "1{V > 10⁴}",
            "1 where V^11 has exceeded 10⁴ in some layer up to d, else 0; ln V^11/V_0 has no value there, and the "
            "correlation none where V^11 or V^22 has.",
        ),
        Observable("output_1", "first output", "S₁", "First output for an input with |x|² = n_in."),
        Observable("output_2", "second output", "S₂", "Second output for the same input."),
        Observable(
            "log_weight",
            "log likelihood of the labels",
            "−|Y − S|²/2T",
            "Log of the Gaussian likelihood of the labels under one network over its maximum: its importance weight.",
        ),
        Observable(
            "posterior_output_1",
            "first output, posterior draw",
            "S₁ | Y",
            "First output at the test input, for networks accepted with probability exp(log_weight); none otherwise.",
        ),
        Observable(
            "posterior_output_2",
            "second output, posterior draw",
            "S₂ | Y",
            "Second output at the test input, for networks accepted with probability exp(log_weight); none otherwise.",
        ),
        *(
            Observable(
                f"covariance_{a}{b}",
                f"covariance of inputs {a} and {b}",
                f"V_d^{a}{b}",
                f"Entry ({a}, {b}) of V_d, the covariance of the features of inputs {a} and {b} after d layers.",
            )
            for a in (1, 2, 3)
            for b in range(a, 4)
        ),
        Observable(
            "log_length",
            "log mean square of the features",
            "ln p_l",
            "Natural log of p_l = |x_l|²/N, the mean square entry of the features of the first input after block l.",
        ),
        Observable(
            "log_preactivation",
            "log mean square of the pre-activations",
            "ln q_l",
            "Natural log of q_l = |h_l|²/N of the first input in block l.",
        ),
        Observable(
            "log_chi",
            "log gain of the gradient",
            "ln χ_{l−1}/χ_L",
            "Log of the mean square of dE/dx at the input of block l over that at the last layer, for the first input.",
        ),
        *(
            Observable(
                f"log_chi_{parameter}",
                f"log mean square gradient of {parameter}",
                f"ln χ_{parameter},l/χ_L",
                f"Log of the mean square entry of dE/d{parameter} of block l over that of dE/dx at the last layer.",
            )
            for parameter in ("b", "w", "v", "a")
        ),
        Observable(
            "cosine",
            "cosine of two inputs",
            "e_l",
            "Cosine of the angle between the features of two inputs after block l.",
        ),
        Observable(
            "log_distance",
            "log squared distance of two inputs",
            "ln s_l",
            "Natural log of s_l = |x_l − x_l'|²/N, from the difference of the features of two inputs after block l.",
        ),
        Observable(
            "test_accuracy",
            "test accuracy",
            "accuracy",
            "Share of the test images that a trained network gets right; 1/classes where training diverged.",
        ),
        Observable(
            "train_loss",
            "training loss",
            "loss",
            "Mean cross entropy over the batches of the last epoch; no value where training diverged.",
        ),
        Observable("diverged", "diverged", "1{diverged}", "1 where a training loss was not finite, else 0."),
        Observable(
            "log_gradient_ratio",
            "log gradient ratio before training",
            "ln χ_0/χ_L",
            "Log of the mean square of dE/dx at the first layer over that at the last, E the loss of a test image.",
        ),
        Observable(
            "log_image_distance",
            "log distance of images before training",
            "ln s_L",
            "Natural log of the mean of |x_L − x_L'|²/N over pairs of test images.",
        ),
        Observable(
            "log_ntk",
            "log of the tangent kernel",
            "ln K₁₁/(d + 1)",
            "Log of the neural tangent kernel of one input, over its value d + 1 at infinite width.",
        ),
        Observable(
            "ntk_ratio",
            "cosine of the tangent kernel",
            "K₁₂/√(K₁₁ K₂₂)",
            "Cosine of the gradients, by all weights, of the outputs for two inputs.",
        ),
        Observable(
            "ntk_12",
            "tangent kernel of two inputs",
            "K₁₂/(d + 1)",
            "Inner product of the gradients, by all weights, of the outputs for two inputs, over d + 1.",
        ),
        Observable(
            "log_q11", "log of Q₁₁", "ln Q₁₁", "Log of the first diagonal entry of the mixing matrix Q_L = M M'."
        ),
        Observable("q12", "Q₁₂", "Q₁₂", "Off-diagonal entry of the mixing matrix: coupling of outputs 1 and 2."),
        Observable("log_det", "log determinant of Q", "ln det Q", "Log determinant of the D x D mixing matrix."),
        Observable(
            "log_lambda_min", "log smallest eigenvalue of Q", "ln λ_min(Q)", "Log of the smallest eigenvalue of Q."
        ),
        Observable(
            "log_lambda_max", "log largest eigenvalue of Q", "ln λ_max(Q)", "Log of the largest eigenvalue of Q."
        ),
    )
}
