"""Running a package: the same numbers each time, and nothing unusable handed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from models.files import ONNX, ONNX_HALF
from models.package import SHIPPED, ModelPackage, PackageRefused, find_packages, load_package
from models.session import (
    PROVIDERS,
    Precision,
    Provider,
    ProviderMissing,
    ScoringFailed,
    Session,
    filled_up,
)
from tests.models.tiny import SIZE, TINY_RECIPES, tiny_onnx, write_hashes, write_tiny_package
from training.half import to_half


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(write_tiny_package(tmp_path / "tiny"), recipes=TINY_RECIPES)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, SIZE, SIZE), dtype=np.float32)


def test_logits_are_the_mean_of_the_heat_map(package: ModelPackage) -> None:
    batch = pictures(3)

    scores = Session(package).run(batch)

    assert scores.heat_map is not None
    assert scores.logits.shape == (3, 1)
    np.testing.assert_allclose(scores.heat_map.mean(axis=(2, 3)), scores.logits, atol=1e-6)
    np.testing.assert_allclose(scores.logits[:, 0], batch.mean(axis=(1, 2, 3)), atol=1e-6)


def test_one_thread_gives_the_same_bits_in_any_batch(package: ModelPackage) -> None:
    batch = pictures(8)

    together = Session(package, threads=1).run(batch).logits
    alone = np.concatenate([Session(package, threads=1).run(batch[i : i + 1]).logits for i in range(8)])

    assert together.tobytes() == alone.tobytes()


def test_the_provider_in_use_is_told(package: ModelPackage) -> None:
    assert Session(package, provider="cpu").provider == "CPUExecutionProvider"


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_missing_gpu_is_loud(package: ModelPackage, provider: Provider) -> None:
    if PROVIDERS[provider][0] in onnxruntime.get_available_providers():
        pytest.skip(f"this installation has {provider}")
    with pytest.raises(ProviderMissing, match="was requested"):
        Session(package, provider=provider)


@pytest.mark.parametrize(("images", "size"), [(1, 4), (4, 4), (5, 5)])
def test_a_batch_is_filled_up_behind_its_images(images: int, size: int) -> None:
    batch = pictures(images)

    filled = filled_up(batch, 4)

    assert len(filled) == size
    assert filled[:images].tobytes() == batch.tobytes()
    assert not filled[images:].any()


@pytest.mark.parametrize("images", [1, 3, 4, 5])
def test_what_fills_a_batch_up_leaves_no_scores(package: ModelPackage, images: int) -> None:
    batch = pictures(images)
    expected = Session(package).run(batch)

    scores = Session(package, batch_size=4).run(batch)

    assert scores.logits.tobytes() == expected.logits.tobytes()
    assert scores.heat_map is not None
    assert expected.heat_map is not None
    assert scores.heat_map.tobytes() == expected.heat_map.tobytes()


@pytest.fixture(params=["fp32", "fp16"])
def on_gpu(request: pytest.FixtureRequest) -> Session:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("no GPU: onnxruntime has no CUDA here")
    [package] = [one for one in map(load_package, find_packages(SHIPPED)) if one.half_sha256]
    precision: Precision = request.param
    return Session(package, provider="cuda", precision=precision, batch_size=8)


def test_a_gpu_says_what_a_cpu_says_in_any_company(on_gpu: Session) -> None:
    batch = np.random.default_rng(0).random((5, *on_gpu.package.input_shape), dtype=np.float32)
    expected, atol = Session(on_gpu.package).run(batch), {"fp32": 1e-4, "fp16": 0.1}[on_gpu.precision]

    together = on_gpu.run(batch)
    alone = np.concatenate([on_gpu.run(batch[i : i + 1]).logits for i in range(5)])

    np.testing.assert_allclose(together.logits, expected.logits, atol=atol)
    np.testing.assert_allclose(together.heat_map, expected.heat_map, atol=atol)  # type: ignore[arg-type]
    np.testing.assert_allclose(alone, together.logits, atol={"fp32": 1e-5, "fp16": 0.02}[on_gpu.precision])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(package: ModelPackage, value: float) -> None:
    batch = pictures(2)
    batch[1, 0, 3, 3] = value

    with pytest.raises(ScoringFailed, match="NaN or infinity"):
        Session(package).run(batch)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 1, SIZE, SIZE), np.float64),
        np.zeros((1, 1, SIZE, SIZE + 1), np.float32),
        np.zeros((1, SIZE, SIZE), np.float32),
    ],
)
def test_a_batch_of_another_shape_or_type_is_refused(package: ModelPackage, batch: np.ndarray) -> None:
    with pytest.raises(ScoringFailed, match="the batch is"):
        Session(package).run(batch)


def test_a_network_that_gives_another_shape_than_it_says_is_refused(tmp_path: Path) -> None:
    def lie(model: onnx.ModelProto) -> None:
        model.graph.initializer[1].ClearField("raw_data")
        model.graph.initializer[1].int64_data.extend([0, 1])  # means over batch and channels instead
        for axis, size in ((0, "batch"), (1, "other")):
            model.graph.output[1].type.tensor_type.shape.dim[axis].dim_param = size

    folder = write_tiny_package(tmp_path / "liar", onnx_bytes=tiny_onnx(alter=lie))

    with pytest.raises((ScoringFailed, PackageRefused)):
        Session(load_package(folder, recipes=TINY_RECIPES)).run(pictures(2))


def test_weights_changed_after_the_check_are_refused(package: ModelPackage) -> None:
    (package.folder / ONNX).write_bytes(tiny_onnx(channels=3))

    with pytest.raises(PackageRefused, match="altered after"):
        Session(package)


def test_half_precision_runs_the_packages_own_file_where_it_has_one(tmp_path: Path) -> None:
    def weigh(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].raw_data = np.array([1.25], np.float32).tobytes()

    folder = write_tiny_package(tmp_path / "tiny")
    plain = load_package(folder, recipes=TINY_RECIPES)
    (folder / ONNX_HALF).write_bytes(to_half(tiny_onnx(alter=weigh)))
    write_hashes(folder)
    package, batch = load_package(folder, recipes=TINY_RECIPES), pictures(3)

    full, half = Session(package), Session(package, precision="fp16")

    assert (full.precision, half.precision) == ("fp32", "fp16")
    assert Session(plain, precision="fp16").precision == "fp32"
    scores = half.run(batch)
    assert scores.logits.dtype == np.float32
    np.testing.assert_allclose(scores.logits, 1.25 * full.run(batch).logits, rtol=1e-3)


def test_a_half_precision_file_changed_after_the_check_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / ONNX_HALF).write_bytes(to_half(tiny_onnx()))
    write_hashes(folder)
    package = load_package(folder, recipes=TINY_RECIPES)
    (folder / ONNX_HALF).write_bytes(tiny_onnx())

    with pytest.raises(PackageRefused, match=r"model_fp16\.onnx was altered after"):
        Session(package, precision="fp16")
    assert Session(package).run(pictures(1)).logits.shape == (1, 1)
