"""`speedlimits theory`: the numbers of the closed forms, as JSON, tables and figures, and its errors."""

import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speedlimits.cli.main import main

POWER_LAW = ["power-law", "--spectrum-exponent", "1", "--residual-exponent", "0.5", "--modes", "200000"]
REGRESSION = [
    *("linear-regression", "--weight-decay", "0.7", "--inverse-temperature", "3"),
    *("--aspect-ratio", "0.5", "--teacher-variance", "2"),
]
MINI_BATCHES = [
    *("mini-batches", "--aspect-ratio", "0.5", "--batch-share", "0.2", "--learning-rate", "0.05"),
    *("--teacher-variance", "2", "--label-variance", "0.25"),
]
SAMPLER = ["sampler", "--radius", "2", "--schedule", "cosine", "--steps", "5", "10", "--particles", "50"]
SCHEDULES = ["schedules", "--spectrum-exponent", "2", "--residual-exponent", "1.4"]
DOUBLE_WELL = ["fokker-planck", "--potential", "x**2 + 1.5*(x**2-1.2)**2", "--inverse-temperature", "2"]


def answer(capsys, *arguments: str) -> dict:
    """What the command prints with --json: one object, valid to the letter of JSON."""
    assert main(["theory", *arguments, "--json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


@pytest.fixture
def spectrum(tmp_path) -> list[str]:
    """Options for two modes, λ = 2 and ½ with Δ = 3 and 1."""
    (tmp_path / "eigenvalues.txt").write_text("# largest first\n2\n\n0.5\n")
    (tmp_path / "residual.csv").write_text("3\n1\n")
    return ["ntk", "--eigenvalues", str(tmp_path / "eigenvalues.txt"), "--residual", str(tmp_path / "residual.csv")]


def test_ntk_gives_the_sums_over_modes(spectrum, capsys):
    """Every key, summed by hand; the factors multiply to the inefficiency."""
    found = answer(capsys, *spectrum, "--time", "0.7")
    moved = 9 / 2 * (1 - math.exp(-1.4)) ** 2 + 2 * (1 - math.exp(-0.35)) ** 2
    spent = 0.5 * (9 * (1 - math.exp(-2.8)) + 1 - math.exp(-0.7))
    assert found["w2_squared"] == pytest.approx(moved, rel=1e-14)
    assert found["dissipation"] == pytest.approx(spent, rel=1e-14)
    assert found["speed_limit"] == pytest.approx(moved / spent, rel=1e-14)
    assert found["inefficiency"] == pytest.approx(0.7 * spent / moved, rel=1e-14)
    assert found["geometric"] == pytest.approx(found["arc_length"] ** 2 / moved, rel=1e-14)
    assert found["pace"] * found["geometric"] == pytest.approx(found["inefficiency"], rel=1e-14)


def test_several_times_give_lists(spectrum, capsys):
    """One time gives numbers, several give lists in the order asked for."""
    one, other = (answer(capsys, *spectrum, "--time", time) for time in ("3", "0.1"))
    both = answer(capsys, *spectrum, "--time", "3", "0.1")
    assert both["time"] == [3.0, 0.1]
    for name, values in both.items():
        assert values == pytest.approx([one[name], other[name]], rel=1e-12), name


def test_what_is_not_a_number_is_null(spectrum, capsys):
    """At T = 0 nothing has moved: T/T_SL is 0/0, and JSON has no NaN."""
    found = answer(capsys, *spectrum, "--time", "0")
    assert found["speed_limit"] == 0.0
    assert found["inefficiency"] is None


def test_all_file_formats_are_read_alike(spectrum, tmp_path, capsys):
    """Text, comma-separated text and .npy give the same numbers."""
    expected = answer(capsys, *spectrum, "--time", "0.7")
    np.save(tmp_path / "eigenvalues.npy", np.array([2.0, 0.5], dtype=np.float32))
    (tmp_path / "row.csv").write_text("3, 1\n")
    others = ["ntk", "--eigenvalues", str(tmp_path / "eigenvalues.npy"), "--residual", str(tmp_path / "row.csv")]
    assert answer(capsys, *others, "--time", "0.7") == expected


def test_fokker_planck_known_answers(capsys):
    """The double well of known R, 𝒲₂ and T_SL, through text on the command line."""
    found = answer(capsys, *DOUBLE_WELL, "--time", "0.2", "1")
    # The grid's error at 1000 cells is 2e-4.
    assert found["entropy_production"] == pytest.approx([0.8305, 0.9966], abs=3e-4)
    assert found["w2_squared"] == pytest.approx([0.0746, 0.190], abs=5e-4)
    assert found["speed_limit"] == pytest.approx([0.180, 0.382], abs=1e-3)
    assert found["certified"] is True
    assert found["reasons"] == []


def test_observables_bound_the_dissipation_from_below(capsys):
    """The mean of x² in the double well: each limit below β⁻¹R, one rate for one time, and a name for a wrong text."""
    found = answer(capsys, *DOUBLE_WELL, "--time", "0.2", "1", "--observable", "x**2")
    for name in ("from_change", "from_rate"):
        assert np.all(np.array(found["uncertainty"][name]) > 0)
        assert np.all(np.array(found["uncertainty"][name]) < found["dissipation"])
    alone = answer(capsys, *DOUBLE_WELL, "--time", "1", "--observable", "x**2")
    assert alone["uncertainty"]["rate"] == pytest.approx(found["uncertainty"]["rate"][1], rel=1e-9)


def test_coarse_cells_are_said(capsys):
    """A wall too steep for the cells: the answer says so and is not certified."""
    found = answer(capsys, "fokker-planck", "--potential", "exp(x**2)", "--inverse-temperature", "1", "--time", "0.1")
    assert found["certified"] is False
    assert "cells are too coarse" in found["reasons"][0]


def test_power_laws_know_their_regimes(capsys):
    """α = 1, δ = ½: exact T/T_SL at λ_n⁻¹/1000 beside (1 + a)/(4(1 − 2^{−a})) = 1.2803, and optimal; δ = 3/2 is not."""
    found = answer(capsys, *POWER_LAW, "--time", "200")
    assert found["inefficiency"] == pytest.approx(1.2625, abs=5e-5)
    assert found["asymptotic"]["inefficiency"] == pytest.approx(1.5 / (4 * (1 - 2**-0.5)), rel=1e-12)
    assert found["asymptotic"].keys() - found.keys() == {"tolerance", "certified", "reasons"}
    assert found["regime"] == "optimal"
    # The last option given counts.
    assert answer(capsys, *POWER_LAW, "--residual-exponent", "1.5", "--time", "200")["regime"] == "non-optimal"


@pytest.mark.parametrize("delta", ["0.5", "1.5", "3", "-2"])
def test_power_laws_are_drawn(tmp_path, capsys, delta):
    """The figure of every kind of regime, whether T/T_SL spans decades or nothing."""
    arguments = [*POWER_LAW, "--residual-exponent", delta, "--modes", "100", "--time", "20", "50"]
    answer(capsys, *arguments, "--plot", str(tmp_path / "law.png"))
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")


def test_linear_regression_is_the_limit(capsys):
    """Without noise, at any λ and α, T_SL → 2 min(1, 1/γ); the printed formula has 2(1 + αλ)."""
    cold = ["linear-regression", "--weight-decay", "0.7", "--inverse-temperature", "1e14", "--teacher-variance", "2"]
    for ratio, expected in (("0.5", 2.0), ("4", 0.5)):
        found = answer(capsys, *cold, "--aspect-ratio", ratio)
        # The first correction is of order √(λ/β).
        assert found["speed_limit"] == pytest.approx(expected, rel=1e-6)
        assert found["time"] is None
    printed = answer(capsys, *cold, "--aspect-ratio", "0.5", "--as-printed")
    assert printed["speed_limit"] == pytest.approx(2 * (1 + 2 * 0.7), rel=1e-6)
    assert printed["as_printed"] is True


def test_finite_times_approach_the_end(capsys):
    """T_SL grows with T from T itself to its value at T = ∞."""
    found = answer(capsys, *REGRESSION, "--time", "1e-6", "1", "1e9", "inf")
    first, middle, late, end = found["speed_limit"]
    assert first == pytest.approx(1e-6, rel=1e-4)
    assert first < middle < late
    assert late == pytest.approx(end, rel=1e-12)


def test_draws_scatter_about_the_limit(capsys):
    """Random data of finite size: reproducible, and within 4 standard errors of the limit for 60 × 120."""
    arguments = [*REGRESSION, "--time", "0.5", "inf", "--dimension", "60", "--samples", "120", "--draws", "20"]
    found = answer(capsys, *arguments, "--rng-seed", "3")
    sampled = found["finite_size"]
    for name in ("w2_squared", "dissipation", "speed_limit"):
        gap = np.abs(np.subtract(sampled["mean"][name], found[name]))
        # The bias, of order 1/d, is a quarter of a standard error.
        assert np.all(gap < 4 * np.array(sampled["standard_error"][name])), name
    assert {name: sampled[name] for name in ("dimension", "samples", "draws", "rng_seed")} == {
        "dimension": 60,
        "samples": 120,
        "draws": 20,
        "rng_seed": 3,
    }
    assert answer(capsys, *arguments, "--rng-seed", "3") == found
    assert answer(capsys, *arguments, "--rng-seed", "4")["finite_size"]["mean"] != sampled["mean"]


def test_standard_error_is_that_of_the_mean(capsys):
    """Sixteen times the draws, a quarter of the standard error."""
    sizes = [*REGRESSION, "--dimension", "10", "--samples", "20"]
    few, many = (
        answer(capsys, *sizes, "--draws", draws)["finite_size"]["standard_error"]["w2_squared"]
        for draws in ("16", "256")
    )
    # Sixteen draws know their deviation to 18 %: 3 standard errors of it.
    assert few / many == pytest.approx(4.0, rel=0.55)


@pytest.mark.parametrize("options", [["--time", "0.1", "inf", "--dimension", "4", "--samples", "8"], ["--as-printed"]])
def test_linear_regression_is_drawn(tmp_path, capsys, options):
    """The figure over time, with draws; and that of the misprint, over temperature."""
    answer(capsys, *REGRESSION, *options, "--plot", str(tmp_path / "regression.png"))
    assert (tmp_path / "regression.png").read_bytes().startswith(b"\x89PNG")


def test_mini_batches_scatter_about_their_limit(capsys):
    """Draws of 30 × 60 about d, n → ∞ within 4 standard errors and 1/n; one number of steps gives numbers."""
    found = answer(capsys, *MINI_BATCHES, "--steps", "3", "20", "--dimension", "30", "--samples", "60", "--draws", "20")
    assert found["steps"] == [3, 20]
    assert found["time"] == pytest.approx([0.15, 1.0])
    sampled = found["finite_size"]
    for name in ("loss", "w2_squared", "dissipation", "noise", "inefficiency", "drift"):
        gap = np.abs(np.subtract(sampled["mean"][name], found[name]))
        assert np.all(gap < 4 * np.array(sampled["standard_error"][name]) + np.array(found[name]) / 60), name
    alone = answer(capsys, *MINI_BATCHES, "--steps", "20")
    assert alone["inefficiency"] == found["inefficiency"][1]
    assert alone["at_rest"]["loss"] < alone["loss"]


def test_samplers_show_every_cell(capsys):
    """A ring of eight, by one schedule: the limit, the errors of three grids, and how often each is no worse."""
    found = answer(capsys, *SAMPLER)
    part = found["radius 2, cosine"]
    errors = part["errors"]
    assert errors["steps"] == [5, 10]
    held = np.sum(np.array(errors["acceleration"]) <= errors["uniform"])
    assert found["acceleration grid"] == f"no worse than the uniform one in {held} of 2 cells"
    assert part["limit"]["distance"] == "from below"
    assert answer(capsys, *SAMPLER, "--components", "1")["radius 2, cosine"]["limit"]["distance"] == "exact"


def test_finite_steps_are_told_from_the_ends(spectrum, capsys):
    """The loss drop misses η, the first order η², the second η³; at the edge the averaged path is the calm one."""
    finite = ["finite-steps", *spectrum[1:], "--learning-rate", "0.05", "--steps", "40"]
    found = answer(capsys, *finite, "--sharpness", "50", "--softening", "1")
    missed = [abs(found[name] / found["dissipation"] - 1) for name in ("loss_drop", "first_order", "second_order")]
    assert missed[2] < 0.1 * missed[1] < 0.01 * missed[0]
    averaged, raw = found["edge"]["averaged"], found["edge"]["raw"]
    assert averaged["inefficiency"] == pytest.approx(found["inefficiency"], rel=0.05)
    assert raw["inefficiency"] > 10 * found["inefficiency"]
    assert "second_order" not in answer(capsys, *finite, "--momentum", "0.5")


def test_surrogates_lie_between_this_loss_and_the_limit(spectrum, capsys):
    """From one start the best loss meets the limit, which is that of the kernel; from many it stays behind."""
    one = answer(capsys, "surrogate", *spectrum[1:], "--start-variance", "0", "--time", "0.7", "3")
    flow = answer(capsys, *spectrum, "--time", "0.7", "3")
    assert one["inefficiency"] == pytest.approx(flow["inefficiency"], rel=1e-12)
    assert one["gain_of_best"] == pytest.approx(flow["inefficiency"], rel=1e-12)
    assert one["drop"] == pytest.approx(flow["dissipation"], rel=1e-12)
    many = answer(capsys, "surrogate", *spectrum[1:], "--start-variance", "2", "--time", "3")
    assert 1 < many["gain_of_best"] < many["inefficiency"]


def test_schedules_are_compared_with_the_limit(capsys):
    """No schedule beats the best, which takes more steps than the limit allows; exponents and regime stand beside."""
    found = answer(capsys, *SCHEDULES, "--steps", "100", "10000")
    for known in ("polynomial", "stable_decay", "constant"):
        assert (np.array(found[known]) >= np.array(found["best"])).all()
    assert (np.array(found["least_steps"]) < 0.5 * np.array(found["steps"])).all()
    assert found["exponents"] == pytest.approx({"limit": 0.25, "flow": 0.2, "schedule": 0.2})
    assert found["regime"] == "stable"


def test_tables_show_the_same(spectrum, capsys):
    """Without --json a reader gets one row per time."""
    assert main(["theory", *spectrum, "--time", "0.7", "3"]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith("│")]
    assert [row[1] for row in rows] == ["0.7", "3"]
    assert "speed_limit" in printed


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_figures_come_in_three_formats(spectrum, tmp_path, capsys, suffix, magic):
    """--plot writes what the suffix says, whole, and the numbers are printed all the same."""
    (tmp_path / "figures").mkdir()
    file = tmp_path / "figures" / f"limit{suffix}"
    assert answer(capsys, *spectrum, "--time", "0", "0.7", "--plot", str(file))["time"] == [0.0, 0.7]
    assert file.read_bytes().startswith(magic)
    assert list(file.parent.iterdir()) == [file]


def test_densities_are_drawn(tmp_path, capsys):
    """The figure of a potential: also at T = 0 alone."""
    answer(capsys, *DOUBLE_WELL, "--time", "0", "--plot", str(tmp_path / "density.png"))
    assert (tmp_path / "density.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Expected one of {"),
        (["magic"], 2, "magic"),
        (["ntk", "--time", "1"], 2, "--eigenvalues FILE"),
        (["ntk", "{one}", "{one}", "--time"], 2, "`time` must be one number or more; there is none."),
        (["ntk", "{one}", "{one}", "--time", "-1"], 2, "`times` must be non-negative and finite; times[0] = -1."),
        (["ntk", "{one}", "{two}", "--time", "1"], 2, "`residual` must have shape (1);"),
        (["ntk", "{none}", "{one}", "--time", "1"], 2, "`eigenvalues` must be a readable file; {tmp}/none.txt: No"),
        (["ntk", "{words}", "{one}", "--time", "1"], 2, "finite numbers, one per line; {tmp}/words.txt, line 2: 'two'"),
        (["ntk", "{gap}", "{one}", "--time", "1"], 2, "{tmp}/gap.csv, line 1: ''"),
        (["ntk", "{nan}", "{one}", "--time", "1"], 2, "{tmp}/nan.txt, line 1: 'nan'"),
        (["ntk", "{empty}", "{one}", "--time", "1"], 2, "`eigenvalues` must hold at least one number; {tmp}/empty.txt"),
        (["ntk", "{bytes}", "{one}", "--time", "1"], 2, "{tmp}/bytes.txt is not text."),
        (["ntk", "{object}", "{one}", "--time", "1"], 2, "must be a .npy file of numbers; {tmp}/object.npy:"),
        (["ntk", "{broken}", "{one}", "--time", "1"], 2, "must be a .npy file of numbers; {tmp}/broken.npy:"),
        (["ntk", "{complex}", "{one}", "--time", "1"], 2, "real numbers; {tmp}/complex.npy holds complex128."),
        (["ntk", "{matrix}", "{one}", "--time", "1"], 2, "{tmp}/matrix.npy: `eigenvalues` must have shape (any);"),
        (["ntk", "{one}", "{one}", "--time", "1", "--plot", "{tmp}/x.bmp"], 2, "`plot` must end in one of .png, .pdf"),
        (["ntk", "{one}", "{one}", "--time", "1", "--plot", "{tmp}/a/x.png"], 1, "No such file or directory"),
        (
            [*DOUBLE_WELL[:1], "--potential", "__import__('os')", "{beta}", "--time", "1"],
            2,
            "`potential` must use only",
        ),
        ([*DOUBLE_WELL[:1], "--potential", "x", "{beta}", "--time", "1"], 2, "`potential` must confine its law;"),
        ([*DOUBLE_WELL, "--time", "1", "--cells", "12"], 2, "`cells` must be enough"),
        (
            [*DOUBLE_WELL[:3], "--inverse-temperature", "nan", "--time", "1"],
            2,
            "`inverse_temperature` must be positive",
        ),
        ([*DOUBLE_WELL, "--time", "1", "--observable", "y"], 2, "`observable` must use only numbers, x,"),
        ([*DOUBLE_WELL, "--time", "1", "--observable", "3"], 2, "`range of observable` must be positive"),
        ([*POWER_LAW, "--time", "0"], 2, "`times` must be positive and finite; times[0] = 0."),
        ([*POWER_LAW, "--modes", "0", "--time", "1"], 2, "`modes` must be an integer of at least 1; modes = 0."),
        (
            ["finite-steps", "{one}", "{one}", "--learning-rate", "1", "--steps", "3", "--sharpness", "2.5"],
            2,
            "`sharpness` and `softening` must be given together",
        ),
        (
            [
                "finite-steps",
                "{one}",
                "{one}",
                "--learning-rate",
                "1",
                "--steps",
                "3",
                "--sharpness",
                "2.5",
                "--momentum",
                "0.5",
            ],
            2,
            "`momentum` must be 0 with sharpness",
        ),
        (["surrogate", "{one}", "{one}", "--start-variance", "1", "--time", "0"], 2, "`time` must be positive"),
        (
            ["surrogate", "{one}", "{one}", "--start-variance", "-1", "--time", "1"],
            2,
            "`variances` must be non-negative",
        ),
        ([*SAMPLER, "--radius"], 2, "`radius` must be one or more; there is none."),
        ([*SAMPLER, "--schedule", "linear"], 2, "`schedule` must be one of"),
        ([*SAMPLER, "--steps", "0"], 2, "`steps` must be an integer of at least 1; steps = 0."),
        ([*SCHEDULES, "--steps"], 2, "`steps` must be one number or more; there is none."),
        ([*SCHEDULES, "--steps", "0"], 2, "`steps` must be an integer of at least 1; steps = 0."),
        ([*SCHEDULES, "--noise", "0"], 2, "`noise` must be positive and finite; noise = 0."),
        ([*SCHEDULES[:-1], "1"], 2, "`residual_exponent` must be above 1, or the loss is not finite"),
        ([*MINI_BATCHES, "--steps", "0"], 2, "`steps` must be an integer of at least 1; steps = 0."),
        ([*MINI_BATCHES, "--steps"], 2, "`steps` must be one number or more; there is none."),
        ([*MINI_BATCHES, "--steps", "1", "--samples", "5"], 2, "`dimension` must be an integer of at least 1;"),
        (["linear-regression", *REGRESSION[3:]], 2, "--weight-decay L"),
        ([*REGRESSION[:-1], "-1"], 2, "`teacher_variance` must be non-negative"),
        ([*REGRESSION, "--time", "nan"], 2, "`time` must be non-negative"),
        (
            [*REGRESSION, "--time", "2", "--as-printed"],
            2,
            "`time` must be inf with as_printed, the paper's only one; time = 2",
        ),
        ([*REGRESSION, "--dimension", "5"], 2, "`samples` must be an integer of at least 1; samples = None."),
        ([*REGRESSION, "--dimension", "5", "--samples", "5"], 2, "must be aspect_ratio = 0.5 as nearly as whole"),
        (
            [*REGRESSION, "--dimension", "5", "--samples", "10", "--draws", "1"],
            2,
            "`draws` must be an integer of at least 2",
        ),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, capfd, arguments, code, message):
    """Argument, rule and value in one line on stderr; a file is named with the line; nothing is written."""
    (tmp_path / "one.txt").write_text("1\n")
    (tmp_path / "two.txt").write_text("1\n1\n")
    (tmp_path / "words.txt").write_text("1\ntwo\n")
    (tmp_path / "gap.csv").write_text("1,,2\n")
    (tmp_path / "nan.txt").write_text("nan\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "complex.npy", np.array([1j]))
    np.save(tmp_path / "matrix.npy", np.eye(2))
    files = {path.stem: path for path in tmp_path.iterdir()} | {"none": tmp_path / "none.txt"}
    before = sorted(tmp_path.rglob("*"))

    options = iter(["--eigenvalues", "--residual"])
    filled: list[str] = []
    for argument in arguments:
        if argument == "{beta}":
            filled += ["--inverse-temperature", "2"]
        elif argument[1:-1] in files:
            filled += [next(options), str(files[argument[1:-1]])]
        else:
            filled.append(argument.replace("{tmp}", str(tmp_path)))
    assert main(["theory", *filled]) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("speedlimits: ")
    assert printed.err.count("\n") == 1
    assert message.replace("{tmp}", str(tmp_path)) in printed.err
    assert sorted(tmp_path.rglob("*")) == before


def test_theory_needs_no_torch(tmp_path):
    """Every command answers, and draws, where torch cannot be imported."""
    (tmp_path / "one.txt").write_text("1\n")
    file, figure = str(tmp_path / "one.txt"), str(tmp_path / "figure.png")
    commands = [
        ["ntk", "--eigenvalues", file, "--residual", file, "--time", "1"],
        [*DOUBLE_WELL, "--time", "1"],
        REGRESSION,
        [*POWER_LAW, "--time", "1"],
        [*MINI_BATCHES, "--steps", "4"],
        SAMPLER,
        [*SCHEDULES, "--steps", "10"],
        ["surrogate", "--eigenvalues", file, "--residual", file, "--start-variance", "1", "--time", "1"],
        ["finite-steps", "--eigenvalues", file, "--residual", file, "--learning-rate", "0.1", "--steps", "5"],
    ]
    code = (
        "import sys\n"
        "class Wall:\n"
        "    def find_spec(name, *_):\n"
        "        if name.partition('.')[0] == 'torch': raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, Wall)\n"
        "from speedlimits.cli.main import main\n"
        f"sys.exit(sum(main(['theory', *command, '--plot', {figure!r}]) for command in {commands!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert Path(figure).exists()


def test_readme_shows_what_is_printed(capsys):
    """The example in README is the command's own output."""
    readme = Path(__file__).parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("not a source checkout")
    examples = re.findall(r"^    \$ speedlimits (theory .*)\n((?:    .*\n)+)", readme.read_text(), flags=re.MULTILINE)
    assert examples
    for command, shown in examples:
        assert main(shlex.split(command)) == 0
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert [line.strip() for line in shown.splitlines()] == printed
