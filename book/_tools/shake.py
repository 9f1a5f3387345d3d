"""Shake sums: what another processor does to the last bits of a result, done on purpose and larger.

    STAD_SHAKE=1 python -m pytest --nbval book        # every kernel is shaken with seed 1
    STAD_SHAKE=1 python -m pytest tests               # the tests themselves

Convolutions, matrix products, reductions, interpolations, transcendental functions and what ``numpy.linalg``
returns are multiplied by 1 + e, |e| at most 1e-6 in single precision and 1e-14 in double. The disturbance
depends on the seed, on the value and on its place alone, so that the same call gives the same result again,
as it does on any processor. Values that are exact in few binary digits (counts, halves) stay as they are:
no order of summation changes them. The product ``a @ b`` of numpy arrays cannot be reached from here;
``make shaken`` lets BLAS itself run as on another family of processors for that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from torch.utils._python_dispatch import TorchDispatchMode

VARIABLE = "STAD_SHAKE"
"""Environment variable: the seed, nothing for no disturbance."""
SIZES = {4: 1e-6, 8: 1e-14}
"""Bytes of a float -> size of the disturbance."""
SHORT = {4: 0xFFF, 8: 0xFFF_FFFF}
"""Bytes of a float -> last bits that are all zero in a value that is exact in few digits."""

TORCH = (
    *("convolution", "_convolution", "mkldnn_convolution", "convolution_backward"),
    *("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "addbmm", "addr"),
    *("sum", "nansum", "mean", "prod", "var", "var_mean", "std", "std_mean", "cumsum", "logsumexp"),
    *("_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data", "norm"),
    *("native_layer_norm", "native_group_norm", "native_batch_norm", "_native_batch_norm_legit"),
    *("native_layer_norm_backward", "native_group_norm_backward", "native_batch_norm_backward"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
    *("avg_pool2d_backward", "avg_pool3d_backward", "_adaptive_avg_pool2d_backward"),
    *("grid_sampler_2d", "grid_sampler_2d_backward", "upsample_bilinear2d", "upsample_linear1d"),
    *("upsample_bilinear2d_backward", "upsample_trilinear3d", "linalg_vector_norm", "linalg_lstsq"),
    *("_linalg_solve_ex", "_linalg_svd", "_linalg_eigh", "linalg_inv_ex", "linalg_qr", "linalg_cholesky_ex"),
    *("exp", "log", "log1p", "expm1", "sigmoid", "tanh", "pow", "rsqrt", "sin", "cos", "softplus", "erf"),
)
"""Operators of torch, without overload, forwards and backwards."""
NUMPY = (
    *("sum", "mean", "average", "std", "var", "dot", "vdot", "inner", "einsum", "tensordot", "cumsum"),
    *("trapezoid", "convolve", "correlate", "nansum", "nanmean", "polyfit", "corrcoef", "cov"),
)
"""Functions of numpy."""
METHODS = ("_sum", "_mean", "_std", "_var")
"""What the methods of arrays call."""
LINALG = (
    *("cholesky", "cond", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "matmul", "norm"),
    *("pinv", "qr", "slogdet", "solve", "svd", "svdvals", "cho_solve", "solve_banded"),
)
"""Functions of numpy.linalg and scipy.linalg."""


def start(seed: int) -> None:
    """Shake everything that this process computes from now on, in this thread.

    seed: which disturbance
    """
    shaken = functools.partial(_shaken_like, seed=seed)
    methods = np._core._methods  # type: ignore[attr-defined]
    inner = np.linalg._linalg  # cond and pinv call svd there
    rooms = ((np, NUMPY), (methods, METHODS), (inner, LINALG), (np.linalg, LINALG), (scipy.linalg, LINALG))
    for module, names in rooms:
        for name in names:
            if (function := getattr(module, name, None)) is not None:
                setattr(module, name, _wrapped(function, shaken, matrix=names is LINALG))
    Shake(seed).__enter__()


def kernel_folder(folder: Path, seed: int) -> dict[str, str]:
    """Write an IPython folder whose kernels shake from their start; return the environment that names it.

    folder: an empty one
    """
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    tools = str(Path(__file__).resolve().parent)
    lines = f"import sys\nsys.path.append({tools!r})\nimport shake\nshake.start({seed})\ndel shake, sys\n"
    (startup / "00-shake.py").write_text(lines, encoding="utf-8", newline="\n")
    return {"IPYTHONDIR": str(folder)}


class Shake(TorchDispatchMode):
    """Disturbs the results of ``TORCH``, also in the backward pass."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in TORCH or func._schema.is_mutable:
            return result
        if isinstance(result, torch.Tensor):
            return _shaken_tensor(result, self.seed)
        if isinstance(result, (tuple, list)):
            return type(result)(
                _shaken_tensor(one, self.seed) if isinstance(one, torch.Tensor) else one for one in result
            )
        return result


def _shaken_tensor(values: torch.Tensor, seed: int) -> torch.Tensor:
    known = values.dtype in (torch.float32, torch.float64)
    if not known or values.device.type != "cpu" or not values.numel():
        return values
    array = values.detach().contiguous().numpy()
    return values * torch.from_numpy(_factor(array, seed))


def _shaken_like(value: Any, seed: int) -> Any:
    """Floats of numpy disturbed, whatever holds them; the rest as it is."""
    if isinstance(value, tuple):
        parts = (_shaken_like(part, seed) for part in value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if type(value) is not np.ndarray and not isinstance(value, np.floating):
        return value
    if value.dtype not in (np.float32, np.float64) or not value.size:
        return value
    return value * _factor(np.ascontiguousarray(value), seed).reshape(value.shape).astype(value.dtype)[()]


def _factor(values: np.ndarray, seed: int) -> np.ndarray:
    """1 + e for each value, 1 for those that are exact in few binary digits."""
    size = values.dtype.itemsize
    bits = values.reshape(-1).view(np.uint32 if size == 4 else np.uint64).astype(np.uint64)
    exact = (bits & np.uint64(SHORT[size])) == 0
    mixed = bits + np.arange(len(bits), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64(seed * 0xD1B54A32D192ED03 % 2**64)
    for shift, odd in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(odd)
    share = (mixed >> np.uint64(40)).astype(np.float64) / 2**23 - 1  # in [-1, 1)
    share[exact] = 0
    return (1 + SIZES[size] * share).astype(values.dtype).reshape(values.shape)


def _wrapped(
    function: Callable[..., Any], shaken: Callable[[Any], Any], matrix: bool = False
) -> Callable[..., Any]:
    """A function with its result disturbed, and its matrix too: LAPACK's answer is that of a near matrix."""

    @functools.wraps(function)
    def disturbed(*args: Any, **kwargs: Any) -> Any:
        if matrix and args:
            args = (shaken(args[0]), *args[1:])
        result = function(*args, **kwargs)
        return result if kwargs.get("out") is not None else shaken(result)

    return disturbed
