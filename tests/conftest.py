"""What every test runs under: one thread per process, figures without a screen, Ray on loopback with its own token."""

import os
import secrets

# Set before torch, numpy's BLAS or Ray are first imported: they read the environment once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("RAY_ADDRESS", None)
os.environ.setdefault("RAY_AUTH_MODE", "token")
if os.environ["RAY_AUTH_MODE"] == "token":
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["COLUMNS"] = "160"
# A test's numbers are the same whether or not limitbench[fast] is installed.
os.environ["LIMITBENCH_GENERATOR"] = "torch"
