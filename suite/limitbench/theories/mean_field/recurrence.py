"""The mean-field recurrences of residual networks: lengths and products forward, mean squared gradients backward.

One form for the reduced and the full network (arXiv 1712.08969), h_l = w x_{l-1} + b, x_l = v phi(h_l) + a + x_{l-1}:

    q_l = sw2 p_{l-1} + sb2,   p_l = p_{l-1} + sv2 E phi(h)^2 + sa2,   chi_{l-1} = [1 + sv2 sw2 E phi'(h)^2] chi_l.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.mean_field_kernels import MeanFieldKernel, mean_field_kernel
from limitbench.theories.mean_field import parameters
from limitbench.theories.mean_field.fluctuations import variances
from limitbench.theories.mean_field.gradient_excess import gradient_excess

Architecture = Literal["full", "reduced", "plain"]
Layers = Float[np.ndarray, " layers"]

#: Lengths of ReLU networks are rescaled where they leave this range, so that no depth overflows.
_RESCALE = 1e100
#: Shortest p of other networks: plain ones without biases vanish.
_SMALLEST = 1e-150
#: Share by which the mean gradient ratio may exceed the recurrence.
_ACCEPTED = 0.02


@dataclass(frozen=True)
class Trajectory:
    """What the recurrences give at layers 0 .. depth, one entry a layer, NaN where a quantity has no layer 0.

    Attributes:
        p, p_second: <x_i^2> of the first and the second input; inf where it exceeds the range of floats.
        log_p, log_p_second: their logarithms, finite at any depth.
        gamma: <x_i x'_i>.
        mean, mean_second: <x_i> and <x'_i>, 0 except in reduced and plain networks whose phi is not odd.
        mean_share: <x_i>/sqrt(p), finite at any depth.
        q, q_second, lam: <h_i^2>, <h'_i^2>, <h_i h'_i> of the block's pre-activations.
        log_q: ln q.
        cosine: e = gamma/sqrt(p p').
        log_distance: ln s, s = <(x_i - x'_i)^2>, without cancellation; -inf for one input given twice.
        log_chi: ln(chi_l/chi_L), so that entry 0 is the whole gradient ratio.
        log_chi_b, log_chi_w: of one entry of the block's parameters b and w, over chi_L.
        log_chi_v, log_chi_a: of v and a; NaN in reduced and plain networks, which have none.
    """

    p: Layers
    p_second: Layers
    log_p: Layers
    log_p_second: Layers
    gamma: Layers
    mean: Layers
    mean_second: Layers
    mean_share: Layers
    q: Layers
    q_second: Layers
    log_q: Layers
    lam: Layers
    cosine: Layers
    log_distance: Layers
    log_chi: Layers
    log_chi_b: Layers
    log_chi_w: Layers
    log_chi_v: Layers
    log_chi_a: Layers


@dataclass(frozen=True)
class MeanField:
    """Mean-field theory of one network: infinite width, the gradient independent of the forward pass.

        gamma_l = gamma_{l-1} + sv2 W(q_l, q'_l, lam_l) + sa2,      lam_l = sw2 gamma_{l-1} + sb2,
        chi_b,l = sv2 chi_l E phi'^2,  chi_w,l = chi_b,l p_{l-1},  chi_v,l = chi_l E phi^2,  chi_a,l = chi_l.

    Reduced networks have sv2 = 1, sa2 = 0. Where phi is not odd, x and phi(h) of a reduced network have means m and M:
    m_l = m_{l-1} + M_l, p_l gains 2 m_{l-1} M_l and gamma_l gains m_{l-1} M'_l + m'_{l-1} M_l. Plain networks forget x:
    p_l = E phi(h)^2, gamma_l = W, chi_{l-1} = sw2 E phi'(h)^2 chi_l.

    Arguments:
        network: `full`, `reduced` (x_l = phi(h_l) + x_{l-1}) or `plain` (x_l = phi(h_l)).
        activation: `tanh`, `erf`, `relu` or `relu-A` with 1/2 < A <= 1.
        sigma_w2, sigma_b2: sw2 > 0 and sb2 >= 0, variances of sqrt(N) w_ij and of b_i.
        sigma_v2, sigma_a2: sv2 > 0 and sa2 >= 0; 1 and 0 whatever is given unless `full`.

    Raises `InputError` where a value cannot be accepted.
    """

    network: str = "full"
    activation: str = "tanh"
    sigma_w2: float = field(default=1.69, kw_only=True)
    sigma_b2: float = field(default=0.49, kw_only=True)
    sigma_v2: float = field(default=1.5, kw_only=True)
    sigma_a2: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        if self.network not in get_args(Architecture):
            raise InputError("network", self.network, "one of " + ", ".join(get_args(Architecture)))
        for name, positive in (("sigma_w2", True), ("sigma_b2", False), ("sigma_v2", True), ("sigma_a2", False)):
            object.__setattr__(self, name, parameters.variance(name, getattr(self, name), positive=positive))
        if self.network != "full":
            object.__setattr__(self, "sigma_v2", 1.0)
            object.__setattr__(self, "sigma_a2", 0.0)
        object.__setattr__(self, "activation", self.kernel.name)

    @property
    def kernel(self) -> MeanFieldKernel:
        """The Gaussian expectations of the activation."""
        return mean_field_kernel(self.activation)

    @property
    def tracks_mean(self) -> bool:
        """Whether the means of x enter: reduced networks whose activation is not odd."""
        return self.network == "reduced" and not self.kernel.odd

    def run(
        self, depth: int, *, norm0: float = 1.0, rho0: float = 0.0, norm0_second: float | None = None
    ) -> Trajectory:
        """Layers 0 .. `depth` of two inputs; chi is that of the first. 6 us a layer, 15 us for
        tanh, 80 us for tanh where the two lengths differ.

        Arguments:
            depth: number of blocks L.
            norm0: p_0 of the first input, positive.
            rho0: cosine of the two inputs, in [-1, 1].
            norm0_second: p_0 of the second input, `norm0` where left out.

        Raises `InputError` where a value cannot be accepted.
        """
        depth = parameters.count("depth", depth)
        first = parameters.variance("norm0", norm0, positive=True)
        second = first if norm0_second is None else parameters.variance("norm0_second", norm0_second, positive=True)
        forward = self._forward(depth, first, second, parameters.cosine("rho0", rho0))
        return self._trajectory(*forward)

    def log_gradient_ratio(self, depth: int, norm0: float = 1.0) -> float:
        """ln(chi_0/chi_L) of `depth` blocks: 1 us a block, whatever the activation. Raises `InputError`."""
        depth = parameters.count("depth", depth)
        p = parameters.variance("norm0", norm0, positive=True)
        return float(self.log_gain(self.run_lengths(depth, p)[1:]).sum())

    def log_chi_variance(self, depth: int, width: int, *, norm0: float = 1.0) -> float:
        """Leading variance of ln(chi_0/chi_L) at `width`, x_0 random: of order L/N (`fluctuations.variances`).

        How far to trust the recurrences: a network's gradient ratio is the mean-field one within a factor
        exp(+- sd). Infinite for powers of ReLU up to 3/4, where E phi'^4 is, and below `gradient_width`, where the mean
        itself is not that of the recurrence. 20 us a layer.

        Raises `InputError` where a value cannot be accepted.
        """
        depth, width = parameters.count("depth", depth), parameters.count("width", width)
        norm0 = parameters.variance("norm0", norm0, positive=True)
        if width < self.gradient_width(depth, norm0=norm0):
            return math.inf
        return float(variances(self, depth, norm0).log_chi[0]) / width

    def gradient_width(self, depth: int, *, norm0: float = 1.0) -> float:
        """Width from which on the mean of chi_0/chi_L is that of the recurrence within 2 %; 1 for most networks.

        Gradients of reduced networks whose phi is not odd exceed it by `gradient_excess`/N: <g_l, x_l> is nearly
        conserved while x grows faster than g, so that the direction of x adds a share of order
        (p_L/p_0)/(N chi_0/chi_L) to chi_0, and the width is an exponential of L. Infinite beyond the range of
        floats. 80 us a layer.

        Raises `InputError` where a value cannot be accepted.
        """
        depth, norm0 = parameters.count("depth", depth), parameters.variance("norm0", norm0, positive=True)
        return max(abs(gradient_excess(self, depth, norm0)) / _ACCEPTED, 1.0)

    def run_lengths(self, depth: int, norm0: float) -> Layers:
        """q_1 .. q_depth of one input, entry 0 NaN; only the ReLU of degree 1 can overflow, to inf."""
        kernel, plain, means = self.kernel, self.network == "plain", self.tracks_mean
        square, sw2, sb2, sv2, sa2 = kernel.scalar_square, self.sigma_w2, self.sigma_b2, self.sigma_v2, self.sigma_a2
        q = np.full(depth + 1, math.nan)
        p, m = norm0, 0.0
        for layer in range(1, depth + 1):
            at = q[layer] = sw2 * p + sb2
            if means:
                shift = kernel.scalar_mean(at)
                p += square(at) + 2.0 * m * shift
                m += shift
            else:
                p = square(at) if plain else p + sv2 * square(at) + sa2
        return q

    def log_gain(self, q: Layers) -> Layers:
        """ln(chi_{l-1}/chi_l) at the pre-activation variances `q`."""
        gain = self.sigma_v2 * self.sigma_w2 * self.kernel.slope_square(q)
        return np.log(gain) if self.network == "plain" else np.log1p(gain)

    def _forward(
        self, depth: int, p: float, p2: float, rho: float
    ) -> tuple[Float[np.ndarray, "layers 8"], Float[np.ndarray, "layers 2"]]:
        """Columns p, p', gamma, q, q', lam, m, m' over a common factor a layer, and ln of that factor, ln s beside."""
        kernel, plain, means = self.kernel, self.network == "plain", self.tracks_mean
        not_odd_plain = plain and not kernel.odd
        square, sw2, sv2 = kernel.scalar_square, self.sigma_w2, self.sigma_v2
        homogeneous = kernel.exponent == 1.0
        sb2, sa2, offset = self.sigma_b2, self.sigma_a2, 0.0
        gamma, same = rho * math.sqrt(p * p2), p == p2
        s = (math.sqrt(p) - math.sqrt(p2)) ** 2 + 2.0 * math.sqrt(p * p2) * (1.0 - rho)
        log_s = math.log(s) if s > 0 else -math.inf
        m = m2 = 0.0
        rows = np.full((depth + 1, 8), math.nan)
        logs = np.empty((depth + 1, 2))
        rows[0, :3] = p, p2, gamma
        rows[0, 6:] = 0.0
        logs[0] = 0.0, log_s
        for layer in range(1, depth + 1):
            q, lam = sw2 * p + sb2, sw2 * gamma + sb2
            q2 = q if same else sw2 * p2 + sb2
            s = math.exp(log_s - offset)
            product, ratio = kernel.scalar_pair(q, q2, lam, sw2 * s)
            v = square(q)
            v2 = v if same else square(q2)
            factor = sv2 * sw2 * ratio
            if plain:
                p, p2, gamma = v, v2, product
                log_s += math.log(factor)
                if not_odd_plain:
                    m, m2 = kernel.scalar_mean(q), kernel.scalar_mean(q2)
            else:
                p, p2, gamma = p + sv2 * v + sa2, p2 + sv2 * v2 + sa2, gamma + sv2 * product + sa2
                if means:
                    shift = kernel.scalar_mean(q)
                    shift2 = shift if same else kernel.scalar_mean(q2)
                    p, p2, gamma = p + 2 * m * shift, p2 + 2 * m2 * shift2, gamma + m * shift2 + m2 * shift
                    factor += 2.0 * (m - m2) * (shift - shift2) / s if not same else 0.0
                    m, m2 = m + shift, m2 + shift2
                log_s += math.log1p(factor)
            if not homogeneous and min(p, p2) < _SMALLEST:
                raise InputError("depth", depth, f"at most {layer - 1}, above which lengths leave the range of floats")
            rows[layer] = p, p2, gamma, q, q2, lam, m, m2
            logs[layer] = offset, log_s
            if homogeneous and not 1.0 / _RESCALE < p < _RESCALE:
                scale = 1.0 / p
                offset -= math.log(scale)
                p, p2, gamma, sb2, sa2 = 1.0, p2 * scale, gamma * scale, sb2 * scale, sa2 * scale
                m, m2 = m * math.sqrt(scale), m2 * math.sqrt(scale)
        return rows, logs

    def _trajectory(self, rows: Float[np.ndarray, "layers 8"], logs: Float[np.ndarray, "layers 2"]) -> Trajectory:
        offset, log_s = logs.T
        p, p2, gamma, q, q2, lam, m, m2 = rows.T
        log_p, log_q = np.log(p) + offset, np.log(q) + offset
        gain = self.log_gain(q[1:])
        log_chi = np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]])
        slope, square = self.kernel.slope_square(q), np.log(self.kernel.square(q)) + offset
        log_chi_b = log_chi + np.log(self.sigma_v2 * slope)
        log_chi_w = log_chi_b + np.concatenate([[math.nan], log_p[:-1]])
        full = 0.0 if self.network == "full" else math.nan
        with np.errstate(over="ignore"):
            factor, root = np.exp(offset), np.exp(offset / 2.0)
            return Trajectory(
                p * factor,
                p2 * factor,
                log_p,
                np.log(p2) + offset,
                gamma * factor,
                np.where(m == 0.0, 0.0, m * np.where(m == 0.0, 1.0, root)),
                np.where(m2 == 0.0, 0.0, m2 * np.where(m2 == 0.0, 1.0, root)),
                m / np.sqrt(p),
                q * factor,
                q2 * factor,
                log_q,
                lam * factor,
                gamma / np.sqrt(p * p2),
                log_s,
                log_chi,
                log_chi_b,
                log_chi_w,
                log_chi + square + full,
                log_chi + full + np.concatenate([[math.nan], np.zeros(len(p) - 1)]),
            )
