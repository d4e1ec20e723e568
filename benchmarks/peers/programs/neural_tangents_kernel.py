"""neural-tangents: a Monte Carlo sample of the empirical NTK of ReLU networks, two inputs, NTK parameterisation.

`form` is `default` (what `monte_carlo_kernel_fn` does unless told otherwise) or `structured` (structured derivatives
and `vmap_axes=0`), the best of its settings here. One compiled call for several networks (`vmap` over keys) compiles
for many minutes at depth 64, and JAX's other generators are no faster.
"""

from __future__ import annotations

import math
import sys
import types

# Its only user of TensorFlow, which it would import for nothing.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
from neural_tangents import stax  # noqa: E402
from serve import Task, serve, tangent_observables  # noqa: E402

RHO0 = 0.3


def tangent(*, width: int, depth: int, samples: int, form: str) -> Task:
    layers = [stax.Dense(width, 1.0)]
    for _ in range(depth - 1):
        layers += [stax.Relu(), stax.Dense(width, math.sqrt(2.0))]
    init, apply, _ = stax.serial(*layers, stax.Relu(), stax.Dense(1, math.sqrt(2.0)))
    # it divides by the square root of the fan-in, 2
    inputs = math.sqrt(2.0) * jnp.array([[1.0, 0.0], [RHO0, math.sqrt(1.0 - RHO0**2)]])
    how = (
        {"vmap_axes": 0, "implementation": nt.NtkImplementation.STRUCTURED_DERIVATIVES} if form == "structured" else {}
    )
    sampler = nt.monte_carlo_kernel_fn(init, apply, jax.random.PRNGKey(0), n_samples=samples, **how)
    empirical = nt.empirical_ntk_fn(apply, **how)
    one = jax.jit(lambda key: empirical(inputs, None, init(key, inputs.shape)[1]))

    def draw(count: int) -> dict[str, list[float]]:
        keys = jax.random.split(jax.random.PRNGKey(1), count)
        rows = [tangent_observables(one(key).astype(float).tolist(), depth) for key in keys]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return Task(lambda: jax.block_until_ready(sampler(inputs, None, "ntk")), samples, draw)


if __name__ == "__main__":
    serve({"tangent": tangent}, ["neural-tangents", "jax", "jaxlib"])
