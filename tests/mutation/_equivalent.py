"""The breaks that change no number which anyone can see, each with its reason."""

SHIFT = "a constant that all potentials have changes no law"
PANELS = "the quadrature is as exact with such panels"
NODES = "the same function is interpolated, by other points of it"
BLOCKS = "what is computed at a time is no part of the numbers"
COSINE = "np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)"

# By function and text of the term; behind a colon one way to break it, or before a colon the call that it is given to.
EQUIVALENT = {
    ("theory._mode._log_excess", "11"): "the last term of the series is below its rounding",
    ("theory._mode._log_excess", "np.zeros_like(square)"): "the first term left out is below its rounding",
    ("dissipation.path.time_integral", "times"): "times in order are in the same order when all are scaled",
    (
        "transport.gaussian._aligned",
        "max(start.shape[1], end.shape[1]): value 1 % off",
    ): "a column of zeros more in both",
    ("transport.gaussian._aligned", "rank - each.shape[1]: left 1 % off"): "a column of zeros more in both",
    ("transport.gaussian._aligned", "end.T @ start: 1 % off"): "a matrix has the singular vectors of its multiples",
    ("transport.points._sorted_law", "points"): "points in order are in the same order when all are scaled",
    (
        "transport.points._sorted_law",
        "_normalised(f'{name}_weights', np.ones(points.size) if weights is None else weights, points.size)",
    ): "weights are normalised where levels are made",
    ("transport.points._sorted_law", "weights[order]: value 1 % off"): "weights are normalised where levels are made",
    ("transport.points._common_levels", "np.cumsum(law): element 1 % off"): "normalised in the next line",
    ("transport.points._common_levels", "law"): "normalised in the next line",
    ("transport.points._common_levels", "start"): "normalised in the next line",
    ("transport.points._common_levels", "end"): "normalised in the next line",
    ("transport.points._positions", "1.0"): "only where a mass of about 1e-16 was rounded",
    ("transport.points._cumulative", "spline.c / spline(points[-1]): 1 % off"): "levels of both laws are scaled alike",
    **{
        (f"transport.points.w2_squared_{laws}", f"{law}: value 1 % off"): "normalised in the same line"
        for laws in ("histograms", "densities")
        for law in ("start", "end")
    },
    ("transport.points.w2_squared_densities", "_normalised(name, law, points.size)"): "normalised by its spline's mass",
    ("theory.fokker_planck.FokkerPlanck.solution", "np.argsort(times): times"): "in the same order when all are scaled",
    **{
        (
            "theory.uncertainty.of_solution",
            f"values - solution.start @ values: {what}",
        ): "a constant has no rate or variance"
        for what in ("right 1 % off", "right dropped", "+ for -")
    },
    ("theory.uncertainty.of_solution", "solution.start"): "a law is normalised when it has moved",
    ("theory.uncertainty.of_solution", "solution.start @ values: 1 % off"): "a constant has no rate or variance",
    ("theory.uncertainty.of_solution", "np.argsort(solution.times): solution.times"): "in the same order when scaled",
    ("theory.surrogate.Surrogate._side", "covering(period, mean, width): mean"): NODES,
    ("theory.surrogate.Surrogate._side", "covering(period, mean, width): width"): NODES,
    ("theory.surrogate.Surrogate._side", "top"): "beyond the top nothing starts",
    ("theory.surrogate.Surrogate._side", "top - first: left 1 % off"): "beyond the top nothing starts",
    ("theory.surrogate.Surrogate._side", "top - first: right 1 % off"): "beyond the top nothing starts",
    ("theory.surrogate.Surrogate._velocity", "1.0: value 1 % off"): "a side is a sign",
    ("theory.samplers.Sampler.acceleration_squared", "APART * time: 1 % off"): "a difference over nearly the same time",
    ("theory.samplers.Sampler.acceleration_squared", "APART * time: right dropped"): "a difference over a short time",
    **{
        (f"theory.samplers.Sampler.{where}", f"{term} 1 % off"): "only shares of the density count"
        for where, term in (
            ("grid", "np.sqrt(self._speeds): element"),
            ("grid", "self._speeds: argument"),
            ("grid", "WEIGHTS * density:"),
            ("_accelerations", "np.array([self.acceleration_squared(time) for time in TIMES.tolist()]): value"),
            ("_accelerations", "self.acceleration_squared(time): element"),
        )
    },
    ("theory._cells.states", "generator.advance(law, node - now): law"): "a law is normalised when it has moved",
    ("theory._cells.states", "generator.advance(law, end - now): law"): "a law is normalised when it has moved",
    ("theory._cells._panels", "start: argument 1 % off"): PANELS,
    ("theory._cells._panels", "end / first: left dropped"): PANELS,
    ("theory._cells._panels", "max(start, 1e-09 * end): value 1 % off"): PANELS,
    ("theory._cells._panels", "1e-09 * end: 1 % off"): PANELS,
    ("theory._cells._panels", "1e-09 * end: right dropped"): PANELS,
    ("theory._cells._panels", "1e-09 * end: / for *"): PANELS,
    ("theory._cells._panels", "first: argument 1 % off"): PANELS,
    ("theory._cells._panels", "1 + int(np.ceil(np.log2(end / first))): left 1 % off"): PANELS,
    ("theory._cells._panels", "1 + int(np.ceil(np.log2(end / first))): right 1 % off"): PANELS,
    ("theory._cells._panels", "1 + int(np.ceil(np.log2(end / first))): left dropped"): PANELS,
    ("theory._cells._panels", "np.ceil(np.log2(end / first)): argument 1 % off"): PANELS,
    ("theory._cells._panels", "np.log2(end / first): argument 1 % off"): PANELS,
    ("theory._cells._panels", "end / first: 1 % off"): PANELS,
    (
        "theory.fokker_planck._gibbs",
        "np.exp(-inverse_temperature * (potential - potential.min())): value 1 % off",
    ): "normalised in the next line",
    **{
        ("theory.fokker_planck._gibbs", f"potential - potential.min(): {what}"): SHIFT
        for what in ("right 1 % off", "right dropped", "+ for -")
    },
    ("theory.constant_kernel.ConstantKernel.arc_length", "self.eigenvalues.max(initial=0.0): value 1 % off"): PANELS,
    ("theory.constant_kernel.ConstantKernel.arc_length", "0.0"): PANELS,
    ("theory.constant_kernel.ConstantKernel.arc_length", "top"): PANELS,
    ("theory.constant_kernel.ConstantKernel._speed", "out=table: table"): "where it is written is no number",
    ("theory.constant_kernel.ConstantKernel.displacement", "np.zeros_like(self.residual)"): "multiplied by 1 − e⁰ = 0",
    **{
        ("theory.heavy_ball._sums", f"int(count.max(initial=0)).bit_length() - 1: {what}"): "leading zeros add nothing"
        for what in ("left 1 % off", "right dropped", "+ for -")
    },
    **{
        ("theory.heavy_ball.HeavyBall.arc_length", term): "a longer table holds the same lengths"
        for term in (
            "1 + int(steps.max(initial=0.0)): left 1 % off",
            "1 + int(steps.max(initial=0.0)): right 1 % off",
            "steps.max(initial=0.0): argument 1 % off",
            "0.0",
        )
    },
    ("theory.power_law_sums._integral", "float(max(np.rint(exponent), -1.0)): value 1 % off"): NODES,
    ("theory.power_law_sums._integral", "max(np.rint(exponent), -1.0): argument 1 % off"): NODES,
    ("theory.power_law_sums._integral", "np.rint(exponent): argument 1 % off"): NODES,
    ("theory.power_law_sums._integral", "np.rint(exponent): exponent"): NODES,
    **{
        ("theory.power_law_sums._integral", f"nearest + REACH * {COSINE}: {what}"): NODES
        for what in ("left 1 % off", "right 1 % off", "- for +")
    },
    ("theory.power_law_sums._integral", f"REACH * {COSINE}: 1 % off"): NODES,
    ("theory.power_law_sums._integral", "np.pi * (np.arange(NODES) + 0.5) / NODES: 1 % off"): NODES,
    ("theory.power_law_sums._integral", "np.pi * (np.arange(NODES) + 0.5): 1 % off"): NODES,
    ("theory.power_law_sums._integral", "np.arange(NODES) + 0.5: right 1 % off"): NODES,
    ("theory.power_law_leading.asymptotic_inefficiency", "np.greater(exponent, 0.0): exponent"): "infinite at 0 anyway",
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "SPACING_AT_END"): PANELS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "SPACING_ON_THE_WAY"): PANELS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "int(BLOCK * spacing): value 1 % off"): BLOCKS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "BLOCK * spacing: 1 % off"): BLOCKS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "BLOCK * spacing: right dropped"): BLOCKS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "BLOCK * spacing: / for *"): BLOCKS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "first + size: left 1 % off"): BLOCKS,
    ("theory.regression_limit.RegressionLimit._moved_and_spent", "first + size: right 1 % off"): BLOCKS,
    (
        "theory.adapted_kernel.AdaptedKernel.speed_limit",
        "np.zeros((3, times.size))",
    ): "written over, interval by interval",
    ("theory.schedule_phases.schedule_exponents", "0.0"): "the quotient is infinite beyond",
    **{
        ("theory.schedules._modes", f"PANELS + 1: {what}"): PANELS
        for what in ("left 1 % off", "right 1 % off", "right dropped", "- for +")
    },
    **{
        ("theory.schedules.NoisyPowerLaw._turn", term): "a hundredth of the step of a fine grid"
        for term in (
            "balance[after] / (balance[after] - balance[after - 1]): 1 % off",
            "balance[after] - balance[after - 1]: left 1 % off",
            "balance[after] - balance[after - 1]: right 1 % off",
            "places[after] + share * (places[after - 1] - places[after]): right 1 % off",
            "share * (places[after - 1] - places[after]): 1 % off",
        )
    },
    **{
        ("theory.schedules.NoisyPowerLaw.best", term): NODES
        for term in (
            "np.expm1(np.linspace(0.0, np.log1p(self.largest_rate * steps), AGES)): value 1 % off",
            "np.linspace(0.0, np.log1p(self.largest_rate * steps), AGES): argument 1 % off",
            "np.log1p(self.largest_rate * steps): argument 1 % off",
            "self.largest_rate * steps: 1 % off",
            "self.largest_rate * steps: left dropped",
        )
    },
    ("dissipation.path._checked", "np.zeros_like(covariance)"): "without noise it is multiplied by β⁻¹ = 0",
}
