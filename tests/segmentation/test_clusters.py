"""Clusters of an image: whole numbers for its values, fitted and given centres, refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import DataError
from swath.raster.spec import Cast, Raster, Stack
from swath.segmentation.clusters import Clusters, read_centres, read_model
from swath.segmentation.fit import fit_clusters
from swath.segmentation.kmeans import distance_percentile, fit_centres
from swath.segmentation.scale import float_scale, integer_scale
from swath.segmentation.spec import SegmentOptions

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

ONE = np.ones(1)


def clusters_of(centres, *, offsets=None, steps=None, weights=None, max_distance=None) -> Clusters:
    centres = np.array(centres, np.float64)
    ones = np.ones(centres.shape[-1])
    return Clusters(
        centres,
        0 * ones if offsets is None else np.array(offsets, np.float64),
        ones if steps is None else np.array(steps, np.float64),
        ones if weights is None else np.array(weights, np.float64),
        max_distance,
    )


def blobs(centres, n_each: int, noise: float, seed: int = 0) -> np.ndarray:
    """Return an image `(band, 1, x)` of float32: `n_each` pixels around each centre."""
    rng = np.random.default_rng(seed)
    points = np.repeat(np.array(centres, np.float64), n_each, axis=0)
    points += rng.normal(0, noise, points.shape)
    return rng.permutation(points).T[:, np.newaxis].astype(np.float32)


# ------------------------------------------------------------ quantise


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
def test_integers_keep_their_values(dtype):
    limits = np.iinfo(dtype)
    values = np.array([[[limits.min, 0, 1, limits.max]]], dtype)
    offsets, steps = integer_scale(np.dtype(dtype), np.array([[3.0]]))
    clusters = clusters_of([[3.0]], offsets=offsets, steps=steps)
    quantised = clusters.quantise(values, np.ones((1, 4), bool))
    assert quantised.dtype == np.int32
    assert quantised[0, 0].tolist() == [limits.min, 0, 1, limits.max]


def test_pixels_without_data_are_0():
    values = np.array([[[5, 6]], [[7, 8]]], np.uint8)
    quantised = clusters_of([[0, 0]]).quantise(values, np.array([[False, True]]))
    assert quantised.tolist() == [[[0, 6]], [[0, 8]]]


def test_nan_without_data_is_0():
    values = np.array([[[np.nan, 2.0, np.inf]]], np.float32)
    quantised = clusters_of([[1]], offsets=[1]).quantise(values, np.array([[False, True, False]]))
    assert quantised[0, 0].tolist() == [0, 1, 0]


def test_floats_are_rounded_to_the_nearest_step_and_halves_to_the_even_one():
    values = np.array([[[10.0, 10.2, 10.25, 10.75, 9.3]]], np.float32)
    quantised = clusters_of([[10]], offsets=[10], steps=[0.5]).quantise(
        values, np.ones((1, 5), bool)
    )
    # (v - 10) / 0.5 = 0, 0.4, 0.5, 1.5, -1.4
    assert quantised[0, 0].tolist() == [0, 0, 0, 2, -1]


def test_floats_are_clipped_far_beyond_the_sample():
    values = np.array([[[3e30, -np.inf, 1.0]]], np.float32)
    quantised = clusters_of([[0]]).quantise(values, np.ones((1, 3), bool))
    assert quantised[0, 0].tolist() == [2**30, -(2**30), 1]


def test_small_unsigned_integers_of_32_bits_have_offset_0():
    offsets, steps = integer_scale(np.dtype("uint32"), np.array([[0.0], [2.0**24]]))
    assert (offsets.tolist(), steps.tolist()) == ([0], [1])


def test_large_integers_of_32_bits_are_counted_from_the_median_of_their_centres():
    centres = np.array([[4e9, 5.0], [4e9 + 100, 6.0], [4e9 + 7, 7.0]])
    offsets, steps = integer_scale(np.dtype("uint32"), centres)
    assert (offsets.tolist(), steps.tolist()) == ([4_000_000_007, 0], [1, 1])
    clusters = clusters_of(centres, offsets=offsets, steps=steps)
    values = np.array([4_000_000_000, 2**32 - 1, 0], np.uint32).reshape(1, 1, 3)
    quantised = clusters.quantise(np.concatenate([values, values]), np.ones((1, 3), bool))
    assert quantised[0, 0].tolist() == [-7, 294_967_288, -(2**31)]
    assert quantised[1, 0].tolist() == [2**31 - 1, 2**31 - 1, 0]
    # Centres that float32 cannot tell apart are told apart.
    assert clusters.spectral_centres[:, 0].tolist() == [-7, 93, 0]


@given(st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False), min_size=2, max_size=60))
def test_step_of_floats_is_a_power_of_two_far_below_the_spread(values):
    sample = np.array(values, np.float32)[:, np.newaxis]
    (offset,), (step,) = float_scale(sample)
    assert math.frexp(step)[0] == 0.5
    assert (offset / step).is_integer()
    extent = float(sample.max()) - float(sample.min())
    clusters = clusters_of([[0.0]], offsets=[offset], steps=[step])
    quantised = clusters.quantise(sample.T[:, np.newaxis], np.ones((1, len(sample)), bool))
    assert np.abs(quantised * step + offset - sample[:, 0]).max() <= step / 2
    assert extent == 0 or step <= extent / 2**21
    assert extent / step <= 2**29


def test_a_range_of_1_takes_4_million_steps():
    sample = np.linspace(0, 1, 1001, dtype=np.float32)[:, np.newaxis]
    offsets, steps = float_scale(sample)  # the middle 98 %: 0.98
    assert (offsets.tolist(), steps.tolist()) == ([0.5], [2.0**-22])


def test_few_extreme_values_leave_the_others_their_steps():
    sample = np.linspace(0, 1, 1001, dtype=np.float32)[:, np.newaxis]
    sample[500] = 60
    assert float_scale(sample)[1] == 2.0**-22
    sample[500] = 1e6  # below 2**20, in at most 2**29 steps
    assert float_scale(sample)[1] == 2.0**-9


def test_a_constant_band_of_floats_has_a_step_far_below_its_value():
    offsets, steps = float_scale(np.array([[0.75, 0.0]] * 3, np.float32))
    assert offsets.tolist() == [0.75, 0]
    assert steps.tolist() == [2.0**-22, 2.0**-21]


def test_undeclared_nodata_of_floats_is_refused():
    sample = np.array([[0.5], [-3.4e38]], np.float32)
    with pytest.raises(DataError, match=r"Band 0 .* as large as 3.4e\+38.* give that value as nod"):
        float_scale(sample)


# ------------------------------------------------------------ the value, its JSON, its file


def test_scale_is_step_times_weight():
    clusters = clusters_of([[3, 8]], offsets=[1, 2], steps=[0.5, 0.25], weights=[2, 10])
    assert clusters.scale.tolist() == [1, 2.5]
    assert clusters.scale32.dtype == np.float32
    assert clusters.scale32.tolist() == [1, 2.5]
    assert clusters.spectral_centres.tolist() == [[4, 60]]
    assert clusters.spectral_centres.dtype == np.float32


def test_clusters_cannot_be_changed():
    given_centres = np.array([[1.0]])
    clusters = Clusters(given_centres, 0 * ONE, ONE, ONE, None)
    given_centres[0] = 5
    assert clusters.centres.tolist() == [[1]]
    for array in (clusters.centres, clusters.offsets, clusters.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


FINITE = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=5), st.floats(1e-9, 1e3))
def test_json_gives_back_every_bit(rows, step):
    clusters = clusters_of(rows, offsets=[step / 3, -step], steps=[step, 1 / 3], max_distance=step)
    again = Clusters.from_json(json.loads(json.dumps(clusters.to_json())))
    assert again.to_json() == clusters.to_json()
    for name in ("centres", "offsets", "steps", "weights", "scale", "spectral_centres"):
        assert np.array_equal(getattr(again, name), getattr(clusters, name))
    assert again.max_distance == clusters.max_distance


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centres": np.empty((0, 2))}, "shape"),
        ({"centres": [1.0, 2.0]}, "shape"),
        ({"centres": np.zeros((32_001, 1))}, "1 to 32,000 rows"),
        ({"centres": [[np.nan]]}, "not a finite number"),
        ({"centres": [[1.0]], "offsets": [np.inf]}, "not a finite number"),
        ({"centres": [[1.0]], "steps": [0]}, "not above 0"),
        ({"centres": [[1.0]], "weights": [-1]}, "not above 0"),
        ({"centres": [[1.0]], "weights": [1, 2]}, "2 weights, but the centres are for 1 band"),
        ({"centres": [[1.0]], "max_distance": -1.0}, "largest distance is -1"),
        ({"centres": [[1.0]], "max_distance": math.nan}, "largest distance is nan"),
        ({"centres": [[1e17]], "weights": [100]}, "beyond float32"),
    ],
)
def test_clusters_that_cannot_be_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        clusters_of(**changes)


def test_file_of_centres_gives_back_every_bit(tmp_path):
    clusters = clusters_of([[1 / 3, 2.0], [1e-7, -5.5]], max_distance=0.1)
    path = tmp_path / "centres.json"
    clusters.write_centres(path)
    assert read_centres(path) == ((1 / 3, 2.0), (1e-7, -5.5))
    assert Clusters.from_json(json.loads(path.read_text())).to_json() == clusters.to_json()
    assert [each.name for each in tmp_path.iterdir()] == ["centres.json"]


def test_file_of_centres_needs_nothing_else(tmp_path):
    path = tmp_path / "centres.json"
    path.write_text('{"centres": [[1, 2], [3, 4.5]], "note": "by hand"}')
    assert read_centres(str(path)) == ((1.0, 2.0), (3.0, 4.5))


def test_a_model_is_what_the_file_names(tmp_path):
    path = tmp_path / "centres.json"
    path.write_text('{"centres": [[1, 2]], "weights": [3, 4], "max_distance": null, "note": 1}')
    assert read_model(path) == {
        "centres": ((1.0, 2.0),),
        "weights": [3, 4],
        "max_distance": None,
    }
    path.write_text('{"centres": [[1, 2]], "steps": [1, "2"]}')
    with pytest.raises(DataError, match="steps is no list of finite numbers"):
        read_model(path)


def test_offsets_and_steps_come_together():
    with pytest.raises(ValueError, match="Give both, or neither"):
        SegmentOptions(steps=(1.0,))
    with pytest.raises(ValueError, match=r"are for \[1, 2\] bands"):
        SegmentOptions(steps=(1.0,), offsets=(1.0, 2.0))


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2]]",
        "{}",
        '{"centres": []}',
        '{"centres": [[]]}',
        '{"centres": [1, 2]}',
        '{"centres": [[1, 2], [3]]}',
        '{"centres": [[1, "2"]]}',
        '{"centres": [[1, true]]}',
        '{"centres": [[1, NaN]]}',
        '{"centres": [[1, 1e999]]}',
        '{"centres": [[1' + "0" * 400 + "]]}",
    ],
)
def test_file_without_rows_of_numbers_is_refused(tmp_path, text):
    path = tmp_path / "centres.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r'no list "centres".* of one length') as caught:
        read_centres(path)
    assert str(path) in str(caught.value)


def test_file_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "centres.json"
    for content in (b"centres: 1", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read.*It must be JSON"):
            read_centres(path)


def test_missing_file_of_centres_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_centres(tmp_path / "none.json")


# ------------------------------------------------------------ k-means and distances


def test_centres_of_clear_groups_are_their_means_in_order():
    points = np.array([[10.0, 1], [12, 1], [0, 5], [0, 7], [0, 6], [100, 0]])
    assert fit_centres(points, 3, seed=0).tolist() == [[0, 6], [11, 1], [100, 0]]


def test_few_distinct_points_are_their_own_centres():
    points = np.array([[7.0], [3.1], [7.0], [3.1]] * 50)
    assert fit_centres(points, 60, seed=0).tolist() == [[3.1], [7.0]]


def test_percentile_of_distances_between_centres():
    centres = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 12.0]])  # distances 5, 12, sqrt(73)
    assert distance_percentile(centres, 0) == 5
    assert distance_percentile(centres, 50) == math.sqrt(73)
    assert distance_percentile(centres, 100) == 12
    assert distance_percentile(centres, 75) == pytest.approx((math.sqrt(73) + 12) / 2)
    assert distance_percentile(centres[:1], 50) == 0


def test_percentile_of_very_many_centres_takes_every_second_one():
    centres = np.arange(8000.0)[:, np.newaxis]
    assert distance_percentile(centres, 0) == 2


# ------------------------------------------------------------ from file to clusters


GROUPS = [[20, 200], [120, 60], [220, 130]]


def test_centres_are_found_in_units_of_the_image(write_tif):
    values = blobs(GROUPS, 400, 2).round().astype(np.uint8)
    image = Raster(uris=write_tif("a.tif", values))
    clusters = fit_clusters(image, SegmentOptions(clusters=3))
    assert np.abs(clusters.centres - GROUPS).max() < 1
    assert clusters.offsets.tolist() == [0, 0]
    assert clusters.steps.tolist() == [1, 1]
    assert clusters.weights.tolist() == [1, 1]
    # "auto": the median of the three distances.
    a, b, c = clusters.centres
    assert clusters.max_distance == pytest.approx(
        np.median([np.linalg.norm(d) for d in (a - b, b - c, c - a)])
    )


def test_clusters_are_the_same_for_any_number_of_threads_and_blocks(write_tif):
    values = np.random.default_rng(0).gamma(2, 500, (4, 700, 800)).astype(np.uint16)
    striped = write_tif("a.tif", values, blockysize=3)
    tiled = write_tif("b.tif", values, tiled=True, blockxsize=64, blockysize=64)
    options = SegmentOptions(clusters=20)
    expected = fit_clusters(Raster(uris=striped), options).to_json()
    for path, n_threads in ((striped, 2), (striped, 5), (tiled, 1), (tiled, 3)):
        assert fit_clusters(Raster(uris=path), options, n_threads=n_threads).to_json() == expected


def test_centres_are_as_good_as_those_of_a_library():
    from sklearn.cluster import KMeans

    points = np.random.default_rng(0).gamma(2, 500, (20_000, 4))

    def error(centres):
        return np.square(points[:, None] - centres).sum(axis=2).min(axis=1).mean()

    library = KMeans(30, n_init=1, random_state=0).fit(points).cluster_centers_
    assert error(fit_centres(points, 30, seed=0)) < 1.05 * error(library)


def test_seed_changes_the_centres_and_nothing_else(write_tif):
    values = np.random.default_rng(0).integers(0, 250, (2, 60, 60), np.uint8)
    image = Raster(uris=write_tif("a.tif", values))
    first, again, other = (
        fit_clusters(image, SegmentOptions(clusters=20, seed=seed)) for seed in (0, 0, 2**40)
    )
    assert first.to_json() == again.to_json()
    assert not np.array_equal(first.centres, other.centres)


def test_weights_stretch_the_distances(write_tif):
    # Two groups along each band; with two clusters the band that counts more decides.
    values = blobs([[0, 0], [0, 100], [100, 0], [100, 100]], 200, 1) + np.float32(50)
    image = Raster(uris=write_tif("a.tif", values))
    for weights, band in (((3.0, 1.0), 0), ((1.0, 3.0), 1)):
        clusters = fit_clusters(image, SegmentOptions(clusters=2, weights=weights))
        apart = np.abs(clusters.centres[0] - clusters.centres[1])
        assert apart[band] == pytest.approx(100, abs=1)
        assert apart[1 - band] < 20
        assert clusters.weights.tolist() == list(weights)
        assert clusters.max_distance == pytest.approx(300, abs=3)


def test_standardised_bands_are_divided_by_their_deviation_before_weights(write_tif):
    values = np.array([[[0, 10, 20, 30]], [[5, 5, 5, 5]]], np.uint8)
    image = Raster(uris=write_tif("a.tif", values))
    options = SegmentOptions(clusters=2, standardise=True, weights=(2.0, 3.0))
    clusters = fit_clusters(image, options)
    assert clusters.weights.tolist() == [2 / np.std([0, 10, 20, 30]), 3]  # the second is constant


def test_given_centres_are_taken_as_they_are(write_tif):
    image = Raster(uris=write_tif("a.tif", np.zeros((2, 4, 4), np.uint8)))
    options = SegmentOptions(centres=((7, 1), (3, 4.5)), distance_percentile=100)
    clusters = fit_clusters(image, options)
    assert clusters.centres.tolist() == [[7, 1], [3, 4.5]]
    assert clusters.max_distance == math.hypot(4, 3.5)


def test_given_centres_on_floats_take_the_scale_from_the_image(write_tif):
    values = np.linspace(0, 1, 1001, dtype=np.float32).reshape(1, 1, -1)
    image = Raster(uris=write_tif("a.tif", values))
    clusters = fit_clusters(image, SegmentOptions(centres=((0.25,), (0.5,)), sample_percent=100))
    assert clusters.centres.tolist() == [[0.25], [0.5]]
    assert (clusters.offsets.tolist(), clusters.steps.tolist()) == ([0.5], [2.0**-22])


@pytest.mark.parametrize("limit", [None, 0.0, 12.5])
def test_given_distance_is_kept(write_tif, limit):
    image = Raster(uris=write_tif("a.tif", np.arange(16, dtype=np.uint8).reshape(1, 4, 4)))
    options = SegmentOptions(clusters=2, max_distance=limit)
    assert fit_clusters(image, options).max_distance == limit


def test_constant_image_has_one_centre(write_tif):
    image = Raster(uris=write_tif("a.tif", np.full((2, 20, 20), 9, np.uint8)))
    clusters = fit_clusters(image, SegmentOptions(clusters=60))
    assert clusters.centres.tolist() == [[9, 9]]
    assert clusters.max_distance == 0


def test_sample_percent_changes_the_centres_of_a_larger_image(write_tif):
    values = np.random.default_rng(0).integers(0, 250, (1, 500, 500), np.uint8)
    image = Raster(uris=write_tif("a.tif", values))
    few, many = (
        fit_clusters(image, SegmentOptions(clusters=5, sample_percent=percent))
        for percent in (0.5, 20)
    )
    assert not np.array_equal(few.centres, many.centres)


def test_parana_has_the_same_clusters_for_one_and_two_threads(shared_data):
    image = Raster(uris=str(shared_data / "parana_landsat8" / "landsat8_b234.tif"), nodata=0)
    one, two = (fit_clusters(image, SegmentOptions(), n_threads=n) for n in (1, 2))
    assert one.to_json() == two.to_json()
    assert one.n_clusters == 60
    assert one.centres.min() > 1000  # no centre near the 0 of missing pixels


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("complex64", "are complex64.*amplitude"),
        ("complex_int16", "are complex_int16.*amplitude"),
        ("int64", "are int64.*up to 32 bits"),
        ("uint64", "are uint64.*up to 32 bits"),
        ("float64", "are float64.*gdal_translate"),
    ],
)
def test_types_that_are_not_exact_are_refused(tmp_path, dtype, message):
    path = tmp_path / "a.tif"
    values = np.zeros((1, 4, 4), np.complex64 if dtype == "complex_int16" else dtype)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=4, width=4, dtype=dtype, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(values)
    with pytest.raises(DataError, match=message) as caught:
        fit_clusters(Raster(uris=path), SegmentOptions(clusters=2))
    assert caught.value.where == str(path)


def test_a_type_that_a_transform_mends_is_taken(write_tif):
    values = np.linspace(0, 1, 64).reshape(1, 8, 8)
    image = Raster(uris=write_tif("a.tif", values), transforms=(Cast(dtype="float32"),))
    assert fit_clusters(image, SegmentOptions(clusters=3)).n_clusters == 3


def test_types_that_need_64_bits_together_are_refused(write_tif):
    ones = np.ones((1, 4, 4))
    paths = [write_tif(f"{name}.tif", ones.astype(name)) for name in ("uint32", "int16")]
    image = Stack(sources=tuple(Raster(uris=path) for path in paths))
    with pytest.raises(DataError, match=r"int64 .*files of several types together"):
        fit_clusters(image, SegmentOptions(clusters=1))


def test_an_image_without_data_is_refused(write_tif):
    image = Raster(uris=write_tif("a.tif", np.zeros((1, 4, 4), np.uint8)), nodata=0)
    with pytest.raises(DataError, match=r"a.tif: No pixel has data. Look at the nodata value"):
        fit_clusters(image, SegmentOptions(clusters=2))


def test_more_clusters_than_pixels_with_data_are_refused(write_tif):
    values = np.zeros((1, 30, 30), np.uint8)
    values[0, 3, 4:11] = range(1, 8)
    image = Raster(uris=write_tif("a.tif", values), nodata=0)
    with pytest.raises(DataError, match=r"Only 7 pixels have data.*at most 7 clusters"):
        fit_clusters(image, SegmentOptions(clusters=8))
    assert fit_clusters(image, SegmentOptions(clusters=7)).n_clusters == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SegmentOptions(centres=((1, 2, 3),)), "2 bands, and the centres are for 3"),
        (SegmentOptions(weights=(1.0,)), "2 bands, and the weights are for 1"),
    ],
)
def test_other_numbers_of_bands_are_refused(write_tif, options, message):
    image = Raster(uris=write_tif("a.tif", np.zeros((2, 40, 40), np.uint8)))
    with pytest.raises(DataError, match=message):
        fit_clusters(image, options)


def test_undeclared_nodata_names_the_file(write_tif):
    values = np.array([[[0.5, -3.4e38, 0.25]]], np.float32)
    with pytest.raises(DataError, match=r"a.tif: Band 0 .*give that value as nodata"):
        fit_clusters(Raster(uris=write_tif("a.tif", values)), SegmentOptions(clusters=2))
