import jax
import numpy as np
import pytest
from diffusion_toys import schedules

from glide_jax.diffusion.schedule import BETAS, kept_timesteps, make_schedule
from glide_jax.errors import UserError


def some(num_steps):
    """Betas where only their number matters."""
    return BETAS["squared_cosine"](num_steps)


@pytest.mark.parametrize("name", BETAS)
def test_noise_grows_from_almost_none_to_almost_all(name):
    betas = BETAS[name](1000)
    assert betas.dtype == np.float64
    alpha_bar = np.cumprod(1 - betas)
    assert np.all(np.diff(betas) >= 0)
    assert alpha_bar[0] > 0.999
    assert alpha_bar[-1] < 1e-4


@pytest.mark.parametrize("name", BETAS)
def test_alpha_bar_depends_on_the_share_of_the_way_not_on_the_number_of_steps(name):
    coarse, fine = (np.cumprod(1 - BETAS[name](n)) for n in (500, 1000))
    np.testing.assert_allclose(coarse[:400], fine[1::2][:400], atol=0.005)


def test_squared_cosine_is_a_squared_cosine():
    alpha_bar = np.cumprod(1 - BETAS["squared_cosine"](1000))
    angle = lambda u: np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2  # noqa: E731
    expected = angle(np.arange(1, 1000) / 1000) / angle(0.0)
    np.testing.assert_allclose(alpha_bar[:999], expected, rtol=1e-9)


def test_cosine_is_one_curve_at_any_number_of_steps():
    coarse, fine = (np.cumprod(1 - BETAS["cosine"](n)) for n in (250, 1000))
    np.testing.assert_allclose(coarse, fine[3::4], rtol=1e-9)
    log_snr = np.log(fine) - np.log1p(-fine)
    assert log_snr[-1] == pytest.approx(-20, abs=1e-6)
    half = np.log(coarse[124]) - np.log1p(-coarse[124])
    assert half == pytest.approx(0, abs=1e-6)
    far = slice(50, 900)
    squared = np.cumprod(1 - BETAS["squared_cosine"](1000))
    np.testing.assert_allclose(fine[far], squared[far], atol=0.015)


@pytest.mark.parametrize("respacing", ["", "27", "10,10,3,2,2", "ddim25", "1"])
@pytest.mark.parametrize("name", BETAS)
def test_respacing_keeps_alpha_bar_and_stays_a_diffusion(name, respacing):
    full, kept = schedules(name, respacing)
    np.testing.assert_array_equal(kept.alpha_bar, full.alpha_bar[kept.timesteps])
    beta = np.asarray(kept.beta, np.float64)
    np.testing.assert_allclose(np.cumprod(1 - beta), kept.alpha_bar, atol=1e-6)
    np.testing.assert_array_equal(kept.alpha_bar_prev[1:], kept.alpha_bar[:-1])
    np.testing.assert_array_equal(kept.alpha_bar_next[:-1], kept.alpha_bar[1:])
    assert kept.alpha_bar_prev[0] == 1
    assert kept.alpha_bar_next[-1] == 0


@pytest.mark.parametrize("respacing", ["", "1000", "ddim1000", "logsnr1000"])
def test_respacing_to_all_steps_is_the_identity(respacing):
    full, kept = schedules(respacing=respacing)
    jax.tree.map(np.testing.assert_array_equal, full, kept)


def test_fields_agree_with_each_other_to_float32():
    schedule, _ = schedules()
    alpha_bar = np.cumprod(1 - BETAS["squared_cosine"](1000))
    np.testing.assert_allclose(schedule.sqrt_alpha_bar, np.sqrt(alpha_bar), rtol=1e-6)
    np.testing.assert_allclose(schedule.one_minus_alpha_bar_prev[1:], 1 - alpha_bar[:-1], rtol=1e-6)
    np.testing.assert_allclose(
        schedule.log_snr, np.log(alpha_bar / (1 - alpha_bar)), rtol=1e-5, atol=1e-6
    )
    clipped = schedule.posterior_log_variance_clipped
    np.testing.assert_allclose(clipped[1:], np.log(schedule.posterior_variance[1:]), rtol=1e-5)
    assert clipped[0] == clipped[1]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(schedule))


@pytest.mark.parametrize("num_steps", [50, 1000, 1003])
@pytest.mark.parametrize("spec", ["1", "2", "7", "50", "10,10,3,2,2", "5,1"])
def test_sections_keep_their_counts_and_ends(spec, num_steps):
    kept, counts = kept_timesteps(spec, some(num_steps)), [int(part) for part in spec.split(",")]
    assert len(kept) == sum(counts)
    assert np.all(np.diff(kept) > 0)
    assert kept[0] == 0
    if counts[-1] > 1:
        assert kept[-1] == num_steps - 1
    sections = np.array_split(np.arange(num_steps), len(counts))
    assert [len(np.intersect1d(section, kept)) for section in sections] == counts


def test_ddim_keeps_every_kth():
    assert set(np.diff(kept_timesteps("ddim25", some(1000)))) == {40}


@pytest.mark.parametrize("count", [2, 3, 20, 27, 500, 999])
@pytest.mark.parametrize("name", BETAS)
def test_log_snr_keeps_its_count_and_both_ends(name, count):
    kept = kept_timesteps(f"logsnr{count}", BETAS[name](1000))
    assert len(kept) == count
    assert np.all(np.diff(kept) > 0)
    assert (kept[0], kept[-1]) == (0, 999)


def test_log_snr_falls_in_equal_steps_where_there_are_steps_enough():
    """In the middle of a fine schedule; next to the ends one step may be more than a share."""
    _, kept = schedules("linear", "logsnr20", num_steps=100_000)
    falls = -np.diff(kept.log_snr)[2:]
    np.testing.assert_allclose(falls, falls.mean(), rtol=0.02)


def test_one_step_can_be_kept():
    _, one = schedules(respacing="ddim1")
    assert one.num_steps == 1
    assert np.all(np.isfinite(one.posterior_log_variance_clipped))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("1001", "1001 steps of a schedule of 1000; take from 1 to 1000"),
        ("10000", "10000 steps of a schedule of 1000; take from 1 to 1000"),
        ("0", "0 steps of a schedule of 1000; take from 1 to 1000"),
        ("500,501", "1001 steps of a schedule of 1000; take from 1 to 1000"),
        ("ddim1001", "1001 steps of a schedule of 1000"),
        ("logsnr1001", "1001 steps of a schedule of 1000"),
        ("300,400,5", "400 steps of a section of 333"),
        ("ddim37", "ddim36, ddim38"),
        ("ddim0", "0 steps of"),
        ("logsnr0", "0 steps of"),
        ("logsnr1", "take 2 steps or more"),
        ("logsnr", "not understood"),
        ("logsnr10,10", "not understood"),
        ("logsnr-20", "not understood"),
        ("ddim", "not understood"),
        ("fast28", "not understood"),
        ("10,0", "0 steps of"),
        ("-5", "not understood"),
        ("10,,2", "not understood"),
    ],
)
def test_impossible_respacings_say_what_is_wrong(spec, says):
    with pytest.raises(UserError, match=says) as error:
        kept_timesteps(spec, some(1000))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "num_steps"), [("linear", 20), ("squared_cosine", 0), ("cosine", 0)]
)
def test_impossible_numbers_of_steps(name, num_steps):
    with pytest.raises(UserError, match=f"{num_steps} steps"):
        BETAS[name](num_steps)


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.1], [[0.1]]])
def test_betas_must_be_between_0_and_1(betas):
    with pytest.raises(ValueError, match="betas"):
        make_schedule(np.array(betas))


@pytest.mark.parametrize("timesteps", [[], [1, 1], [2, 1], [-1, 2], [0, 3]])
def test_timesteps_must_rise_within_the_schedule(timesteps):
    with pytest.raises(ValueError, match="timesteps"):
        make_schedule(np.array([0.1, 0.2, 0.3]), timesteps)
