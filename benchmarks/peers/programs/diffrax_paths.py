"""diffrax: Euler's steps of the correlation SDE, compiled, float32.

`each` is what its documentation shows, one solve a path and `vmap` over them; `together` is one solve whose state is
the vector of all paths, which is faster. `UnsafeBrownianPath` is its fastest noise; `VirtualBrownianTree` takes ten
times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import lineax
from serve import Task, serve

RHO0, KAPPA = 0.3, 1.0 / (2.0 * math.pi)


def drift(time: object, rho: jax.Array, args: object) -> jax.Array:
    return KAPPA * (jnp.sqrt(1.0 - rho**2) - rho * jnp.arccos(rho)) - rho * (1.0 - rho**2) / 2.0


def solve(key: jax.Array, start: jax.Array, steps: int, operator: Callable[[jax.Array], object]) -> jax.Array:
    noise = diffrax.UnsafeBrownianPath(shape=start.shape, key=key)
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(drift), diffrax.ControlTerm(lambda time, rho, args: operator(1.0 - rho**2), noise)
    )
    return diffrax.diffeqsolve(
        terms,
        diffrax.Euler(),
        0.0,
        1.0,
        1.0 / steps,
        start,
        saveat=diffrax.SaveAt(t1=True),
        adjoint=diffrax.ForwardMode(),
        max_steps=None,
        throw=False,
    ).ys[0]


def paths(*, steps: int, paths: int, form: str) -> Task:
    def run(key: jax.Array, count: int) -> jax.Array:
        if form == "together":
            return solve(key, jnp.full((count,), RHO0, jnp.float32), steps, lineax.DiagonalLinearOperator)
        return jax.vmap(lambda one: solve(one, jnp.float32(RHO0), steps, lambda value: value))(
            jax.random.split(key, count)
        )

    compiled = jax.jit(run, static_argnums=1)
    return Task(
        lambda: jax.block_until_ready(compiled(jax.random.PRNGKey(0), paths)),
        steps * paths,
        lambda count: {"correlation": compiled(jax.random.PRNGKey(1), count).tolist()},
    )


if __name__ == "__main__":
    serve({"paths": paths}, ["diffrax", "jax", "jaxlib"])
