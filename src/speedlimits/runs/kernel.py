"""What a kernel says of a run: spectrum, residual, prediction beside measurement, drift; saved without torch."""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from speedlimits._files import read_file, write_atomically
from speedlimits._numbers import finite_or_none, plain
from speedlimits.bound import SpeedLimit
from speedlimits.errors import RunFolderError
from speedlimits.measured import speed_limit
from speedlimits.runs import adapted
from speedlimits.spectra.power_law import PowerLawFit, fit_power_law
from speedlimits.theory.adapted_kernel import AdaptedKernel
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.trajectory import Trajectory

if TYPE_CHECKING:
    from speedlimits.runs.run import Run

FILE = "kernel.npz"
SCHEMA = 1
# Between the loss by the residuals and by the series: in float32 they differ by about 1e-6.
RESIDUAL = 1e-3
SERIES = ("time", "w2_squared", "dissipation", "inefficiency", "geometric", "pace")
# What NumPy, zipfile and zlib make of a damaged archive.
DAMAGE = (
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    struct.error,
    MemoryError,
    OSError,
)
# Eigenvalues that a summary lists.
TOP = 20
# What a record holds several of, each with arrays of its own.
SEVERAL = ("views", "adapted")
# Modes up to which a fit that starts at the twentieth must reach.
FEWEST = 28


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelView:
    """The kernel at one moment of a run, and the residual of that moment in its eigenvectors.

    Args:
        start_time: when, since the start of the run [time].
        eigenvalues: λ_k, the largest first; without forming the kernel, the nodes of the residual's measure [1/time].
        residual: Δ_k = u_kᵀ(f − y), up to its sign [√loss].
        top: the largest eigenvalues themselves, to which the first of the modes belong [1/time].
        error: relative error of what is predicted from them, as in `ResidualMeasure`; 0 for the whole spectrum.
    """

    start_time: float
    eigenvalues: Float64[np.ndarray, " modes"]
    residual: Float64[np.ndarray, " modes"]
    top: Float64[np.ndarray, " top"]
    error: float = 0.0

    def predicted(self, times: Float64[np.ndarray, " times"]) -> SpeedLimit:
        """What follows if the kernel stays as it is, by `ConstantKernel`.

        Args:
            times: since the view's start [time].

        Returns:
            The limit as a series over the times.
        """
        return ConstantKernel(eigenvalues=self.eigenvalues, residual=self.residual).speed_limit(times)

    def seen(self, run: Trajectory) -> Trajectory:
        """The run from the view's start on.

        Args:
            run: the whole run.

        Returns:
            The same run, its times and lengths counted from there.
        """
        return run.from_start(self.start_time) if self.start_time else run


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelRecord:
    """All that `speedlimits kernel` finds out about one member of a run.

    Args:
        seed: the member.
        pairs: (sample, output) pairs, the rows of the kernel.
        matrix_free: whether the kernel was never formed.
        chosen: which view the summary is about.
        views: at initialisation, and at a later start.
        drift_times: of the snapshots whose kernels were compared with the chosen view's, since the run's start [time].
        drift: 1 − ⟨K, K'⟩/(|K||K'|) there.
        run: id of the run; empty where version 0.1 wrote it.
        adapted: the path from the chosen view under a kernel that is measured again on the way, and the same with half
            as many intervals; empty where nobody asked for it.
    """

    seed: int
    pairs: int
    matrix_free: bool
    chosen: int
    views: tuple[KernelView, ...]
    drift_times: Float64[np.ndarray, " drifts"]
    drift: Float64[np.ndarray, " drifts"]
    run: str = ""
    adapted: tuple[AdaptedKernel, ...] = ()

    @property
    def view(self) -> KernelView:
        """The chosen view."""
        return self.views[self.chosen]

    def fit(self) -> PowerLawFit | None:
        """The power laws of the chosen view, in the first half of its modes; None where there are too few.

        Without forming the kernel the window ends with the eigenvalues that were found.
        """
        found = self.view.top.size if self.matrix_free else self.view.eigenvalues.size // 2
        if found < FEWEST:
            return None
        generator = np.random.default_rng(0)
        if self.matrix_free:
            return fit_power_law(self.view.top, self.view.residual[:found], last=found, generator=generator)
        return fit_power_law(self.view.eigenvalues, self.view.residual, generator=generator)

    def summary(self, run: Trajectory) -> dict[str, Any]:
        """The numbers as a JSON object: prediction and measurement of the chosen view at the run's own times.

        Args:
            run: the member's whole run.

        Returns:
            Lists and numbers; null is not a finite number.
        """
        view = self.view
        seen = view.seen(run)
        measured = speed_limit(seen, dissipation="loss_drop")
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "pairs": self.pairs,
            "matrix_free": self.matrix_free,
            "start_time": view.start_time,
            "error": finite_or_none(view.error),
            "eigenvalues_top": plain(view.top[:TOP]),
            "exponents": self._exponents(seen.times[-1:]),
            "predicted": _series(view.predicted(seen.times)),
            "adapted": _series(self.adapted[0].speed_limit(seen.times)) if self.adapted else None,
            "adaptation": adapted.summary(self.adapted),
            "measured": _series(measured) | {"certified": [measured[k].certified for k in range(len(measured))]},
            "drift": {"time": plain(self.drift_times), "drift": plain(self.drift)},
        }

    def _exponents(self, time: np.ndarray) -> dict[str, Any] | None:
        fit = self.fit()
        if fit is None:
            return None
        law = None
        if fit.spectrum_exponent > 0:
            # Late: its special functions take a third of a second to import.
            from speedlimits.theory.power_law import PowerLaw

            law = PowerLaw(fit.spectrum_exponent, fit.residual_exponent, self.pairs, fit.scale, fit.residual_scale)
        return {
            "spectrum_exponent": fit.spectrum_exponent,
            "residual_exponent": fit.residual_exponent,
            "exponent": fit.exponent,
            "spectrum_spread": list(fit.spectrum_spread),
            "residual_spread": list(fit.residual_spread),
            "exponent_spread": list(fit.exponent_spread),
            "window": list(fit.window),
            "regimes": list(fit.regimes),
            "inefficiency": None if law is None else plain(law.finite(time).inefficiency)[0],
            "asymptotic_inefficiency": None if law is None else _within_window(law.asymptotic(time).final),
        }

    def save(self, path: str | Path) -> None:
        """Write one NumPy ``.npz`` file, whole or not at all; arrays of view k end in _k.

        Args:
            path: the file; replaced if it exists.

        Raises:
            OSError: what the disk reports.
        """
        arrays: dict[str, Any] = {"schema": SCHEMA, "views": len(self.views)}
        arrays |= {name: getattr(self, name) for name in KernelRecord.__dataclass_fields__ if name not in SEVERAL}
        for k, view in enumerate(self.views):
            arrays |= {f"{name}_{k}": getattr(view, name) for name in KernelView.__dataclass_fields__}
        arrays |= adapted.arrays(self.adapted)
        write_atomically(Path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "KernelRecord":
        """Read what `save` wrote; nothing in the file is executed.

        Args:
            path: the file.

        Returns:
            The record.

        Raises:
            RunFolderError: if the file is missing or damaged.
        """
        try:
            with np.load(io.BytesIO(read_file(path)), allow_pickle=False) as archive:
                found = {name: archive[name] if archive[name].ndim else archive[name].item() for name in archive.files}
            views = tuple(
                KernelView(**{name: found[f"{name}_{k}"] for name in KernelView.__dataclass_fields__})
                for k in range(found["views"])
            )
            # Version 0.1 wrote no id.
            found.setdefault("run", "")
            fields = {name: found[name] for name in cls.__dataclass_fields__ if name not in SEVERAL}
            fields["adapted"] = adapted.restored(found)
        except FileNotFoundError:
            raise RunFolderError(f"`path` must be a saved kernel; {path} does not exist.") from None
        except OSError as error:
            raise RunFolderError(f"`path` must be a saved kernel; {path} cannot be read ({error.strerror}).") from None
        except DAMAGE as error:
            raise RunFolderError(f"`path` must be a saved kernel; {path} is damaged ({error}).") from None
        return cls(views=views, **fields)

    @classmethod
    def of_run(cls, run: "Run") -> "KernelRecord | None":
        """What lies in a run's folder, if it is this run's: of its id, its member, its times, its residuals.

        Args:
            run: the run.

        Returns:
            The record; None where there is none.

        Raises:
            RunFolderError: if it is damaged or another run's.
        """
        path = run.path / FILE
        if not path.exists():
            return None
        record = cls.load(path)
        if why := record._disagreement(run):
            raise RunFolderError(f"{path} is damaged or another run's ({why}): delete it; speedlimits kernel makes it.")
        return record

    def _disagreement(self, run: "Run") -> str:
        """Why it cannot be of this run; empty if it can."""
        if self.run and self.run != run.provenance.get("id"):
            return f"it is of run {self.run[:8]}"
        if self.seed not in run.trajectories:
            return f"no member has seed {self.seed}"
        path = run.trajectories[self.seed]
        arrays = [self.drift_times, self.drift, *(each for view in self.views for each in (view.eigenvalues, view.top))]
        if not all(np.isfinite(each).all() for each in arrays):
            return "it holds numbers that are not finite"
        for view in self.views:
            if view.start_time not in path.snapshot_times:
                return f"no weights were kept at t = {view.start_time:.6g}"
            # ½|f − y|² is the loss, in whatever basis: eigenvectors found without the kernel have less of it.
            loss, found = path.losses[path.times == view.start_time][0], 0.5 * view.residual @ view.residual
            if not self.matrix_free and abs(found - loss) > RESIDUAL * loss:
                return f"½|Δ|² must be the loss {loss:.6g} at t = {view.start_time:.6g}; it is {found:.6g}"
        loss = path.losses[path.times == self.view.start_time][0]
        for begun in (each.intervals[0].loss for each in self.adapted):
            if abs(begun - loss) > RESIDUAL * loss:
                return f"the first interval must start at the loss {loss:.6g}; it starts at {begun:.6g}"
        return ""


def _within_window(leading: SpeedLimit) -> float | None:
    return finite_or_none(leading.inefficiency) if leading.certified else None


def _series(limit: SpeedLimit) -> dict[str, Any]:
    return {name: plain(getattr(limit, name)) for name in SERIES}
