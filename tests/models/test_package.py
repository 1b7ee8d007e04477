"""What the loader accepts, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from models.files import HASHES, ONNX, OUTPUTS
from models.package import PackageRefused, load_package
from tests.models.tiny import (
    TINY_RECIPES,
    experimental_record,
    findings_metadata,
    output_record,
    tiny_onnx,
    write_gate,
    write_hashes,
    write_tiny_package,
)


def load(folder: Path) -> Any:
    return load_package(folder, recipes=TINY_RECIPES)


def listed(*outputs: dict[str, object]) -> dict[str, object]:
    return {"outputs": list(outputs), "scope_classes": [], "scope_threshold": None}


def point(**changed: object) -> dict[str, object]:
    values = {"name": "p", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.9, "chosen_on": "val"}
    return {**values, **changed}


def evidence(**changed: object) -> dict[str, object]:
    values = {"auroc": 0.9, "low": 0.85, "high": 0.94, "films": 200, "positives": 80, "data": "test films"}
    return {**values, **changed}


def test_a_whole_package_loads_with_its_description(tmp_path: Path) -> None:
    package = load(write_tiny_package(tmp_path / "tiny"))

    assert (package.name, package.version, package.kind, package.recipe) == (
        "tiny_findings", "0.1.0", "findings", "tiny/1",
    )  # fmt: skip
    assert package.input_shape == (1, 16, 16)
    assert package.outputs[0].names.ko == "음영"
    assert package.applies_to.modalities == ("CR", "DX")


def test_a_scope_gate_loads_with_its_classes(tmp_path: Path) -> None:
    package = load(write_gate(tmp_path / "gate"))

    assert (package.kind, package.scope_classes, package.scope_threshold) == (
        "scope_gate", ("in_scope", "not_a_chest"), 0.5,
    )  # fmt: skip


def test_the_identity_changes_with_any_file(tmp_path: Path) -> None:
    first = load(write_tiny_package(tmp_path / "first"))
    second_folder = write_tiny_package(tmp_path / "second")
    (second_folder / "docs/README.md").write_text("# Another card\n")
    write_hashes(second_folder)

    second = load(second_folder)

    assert first.sha256 != second.sha256
    assert first.weights_sha256 == second.weights_sha256


@pytest.mark.parametrize(
    "path", ["configs/metadata.json", "configs/outputs.json", "models/model.onnx", "docs/README.md", "LICENSE"]
)
def test_an_altered_file_is_refused_by_name(tmp_path: Path, path: str) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / path).write_bytes((folder / path).read_bytes() + b" ")

    with pytest.raises(PackageRefused, match=f"{path} was altered"):
        load(folder)


@pytest.mark.parametrize("path", ["configs/hashes.json", "configs/inference.json", "models/model.onnx", "LICENSE"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, path: str) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / path).unlink()

    with pytest.raises(PackageRefused, match=f"{path} is missing"):
        load(folder)


def test_a_file_that_nobody_hashed_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / "models/weights.bin").write_bytes(b"x")

    with pytest.raises(PackageRefused, match=r"models/weights\.bin is not in configs/hashes\.json"):
        load(folder)


def test_a_hashed_file_that_lies_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    hashes = json.loads((folder / HASHES).read_text())
    hashes["sha256"]["../outside"] = "0" * 64
    (folder / HASHES).write_text(json.dumps(hashes))
    (tmp_path / "outside").write_text("x")

    with pytest.raises(PackageRefused, match=r"\.\./outside is missing"):
        load(folder)


@pytest.mark.parametrize("path", ["models/model.onnx", "docs/README.md"])
def test_a_symbolic_link_is_refused_even_to_the_same_bytes(tmp_path: Path, path: str) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (tmp_path / "elsewhere").write_bytes((folder / path).read_bytes())
    (folder / path).unlink()
    (folder / path).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PackageRefused, match=f"{path} is a link"):
        load(folder)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / "docs").rename(tmp_path / "docs")
    (folder / "docs").symlink_to(tmp_path / "docs")

    with pytest.raises(PackageRefused, match="docs is a link"):
        load(folder)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    (folder / "LICENSE").unlink()
    os.mkfifo(folder / "LICENSE")

    with pytest.raises(PackageRefused, match="LICENSE is a link or a special file"):
        load(folder)


def test_an_unknown_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="recipe 'tiny/1' is not in this installation"):
        load_package(write_tiny_package(tmp_path / "tiny"), recipes={})


def test_a_recipe_with_another_hash_is_refused(tmp_path: Path) -> None:
    metadata: Any = findings_metadata()
    metadata["pandok"]["recipe_sha256"] = "cd" * 32

    with pytest.raises(PackageRefused, match="differs from the one that the package was made with"):
        load(write_tiny_package(tmp_path / "tiny", metadata=metadata))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "segmentation"}, "kind"),
        ({"surprise": 1}, "surprise"),
        ({"input_shape": [1, 16]}, "input_shape"),
        ({"name": "../etc"}, "name"),
        ({"has_heat_map": "yes"}, "has_heat_map"),
    ],
)
def test_a_wrong_description_is_refused_with_the_place(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    metadata: Any = findings_metadata()
    metadata["pandok"].update(change)

    with pytest.raises(PackageRefused, match=words):
        load(write_tiny_package(tmp_path / "tiny", metadata=metadata))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channel": 1}, "channels must be"),
        ({"calibration": {"method": "platt", "slope": -1.0, "intercept": 0.0, "version": "1"}}, "rising"),
        ({"priority_class": 0}, "priority class"),
        ({"experimental": True}, "experimental output must not raise"),
        ({"raise_point": point(threshold=0.49)}, "raise point must not lie below"),
        ({"raise_point": point(threshold=1.0)}, "raise point must not lie below"),
        ({"operating_point": point(threshold=0.0)}, "threshold must lie between"),
        ({"operating_point": point(sensitivity=None)}, "never measured must be experimental"),
        ({"calibration": {"method": "none", "slope": 1.0, "intercept": 0.0, "version": "1"}}, "without calibration"),
        ({"evidence": evidence(low=0.95)}, "inside its interval"),
        ({"evidence": evidence(high=1.01)}, "inside its interval"),
        ({"evidence": evidence(positives=0)}, "with and without"),
        ({"evidence": evidence(positives=200)}, "with and without"),
        ({"evidence": evidence(data="")}, "name its films"),
        ({"min_age_years": 6.0, "max_age_years": 6.0}, "age range is empty"),
        ({"raises_priority": True}, "raises_priority"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_output_record_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(PackageRefused, match=words):
        load(write_tiny_package(tmp_path / "tiny", outputs=listed({**output_record(), **change})))


def test_an_output_tells_when_it_raises_and_how_far_it_was_tested(tmp_path: Path) -> None:
    [output] = load(write_tiny_package(tmp_path / "tiny")).outputs

    assert (output.operating_point.threshold, output.raise_point.threshold) == (0.5, 0.7)
    assert (output.evidence.auroc, output.evidence.low, output.evidence.high) == (0.9, 0.85, 0.94)


def test_an_output_that_nobody_measured_loads_as_experimental(tmp_path: Path) -> None:
    [output] = load(write_tiny_package(tmp_path / "tiny", outputs=listed(experimental_record()))).outputs

    assert (output.experimental, output.raise_point, output.evidence) == (True, None, None)
    assert (output.operating_point.sensitivity, output.calibration.method) == (None, "none")


def test_a_gate_with_a_class_that_is_no_reason_is_refused(tmp_path: Path) -> None:
    outputs = {"outputs": [], "scope_classes": ["in_scope", "cat"], "scope_threshold": 0.5}

    with pytest.raises(PackageRefused, match="known reasons"):
        load(write_gate(tmp_path / "gate", outputs=outputs))


def test_a_nan_in_json_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_package(tmp_path / "tiny")
    text = (folder / OUTPUTS).read_text().replace('"slope": 1.0', '"slope": NaN')
    (folder / OUTPUTS).write_text(text)
    write_hashes(folder)

    with pytest.raises(PackageRefused):
        load(folder)


def test_a_pickle_with_an_onnx_name_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    with pytest.raises(PackageRefused, match="not an ONNX file"):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=pickle.dumps(Trap())))
    assert not (tmp_path / "sprung").exists()


def external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def external_data_without_its_mark(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def external_constant_in_a_node(model: onnx.ModelProto) -> None:
    value = helper.make_tensor("c", TensorProto.FLOAT, [1], [0.0])
    value.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))


def external_constant_in_a_subgraph(model: onnx.ModelProto) -> None:
    value = helper.make_tensor("c", TensorProto.FLOAT, [1], [0.0])
    value.data_location = TensorProto.EXTERNAL
    inner = helper.make_graph([], "inner", [], [], [value])
    node = helper.make_node("Constant", [], ["d"])
    node.attribute.append(helper.make_attribute("body", inner))
    model.graph.node.append(node)


def external_sparse_weights(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.data_location = TensorProto.EXTERNAL


@pytest.mark.parametrize(
    "alter",
    [
        external_weights,
        external_data_without_its_mark,
        external_constant_in_a_node,
        external_constant_in_a_subgraph,
        external_sparse_weights,
    ],
)
def test_external_data_is_refused_wherever_it_hides(tmp_path: Path, alter: Callable[[onnx.ModelProto], None]) -> None:
    with pytest.raises(PackageRefused, match="external data"):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=tiny_onnx(alter=alter)))


def foreign_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def foreign_opset(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="org.example", version=1)


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "RunShell"


def endless_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def local_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="local")


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (foreign_domain, "com.microsoft"),
        (foreign_opset, "org.example"),
        (unknown_operator, "RunShell"),
        (endless_operator, "Loop"),
        (local_function, "function"),
    ],
)
def test_operators_from_elsewhere_are_refused(
    tmp_path: Path, alter: Callable[[onnx.ModelProto], None], words: str
) -> None:
    with pytest.raises(PackageRefused, match=words):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=tiny_onnx(alter=alter)))


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def other_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 32


def whole_numbers(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def other_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "scores"


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


@pytest.mark.parametrize("alter", [fixed_batch, other_size, whole_numbers, other_output, second_input])
def test_other_inputs_and_outputs_than_described_are_refused(
    tmp_path: Path, alter: Callable[[onnx.ModelProto], None]
) -> None:
    with pytest.raises(PackageRefused, match=r"model\.onnx: (the only )?(in|out|the out)put"):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=tiny_onnx(alter=alter)))


def test_other_channels_than_described_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match=r"shape \(batch, 1\)"):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=tiny_onnx(channels=2)))


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_cut_onnx_file_is_refused_and_never_crashes(tmp_path: Path, cut: int) -> None:
    with pytest.raises(PackageRefused):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=tiny_onnx()[:cut]))


def test_a_file_of_countless_tiny_parts_is_refused_soon(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="fields"):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=b"\x08\x01" * 600_000))


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    content = b""
    for field in [6, 5, 1] * 40 + [7]:  # attribute.g, node.attribute, graph.node ... model.graph
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        content = bytes([field << 3 | 2]) + size + bytes([length]) + content

    with pytest.raises(PackageRefused):
        load(write_tiny_package(tmp_path / "tiny", onnx_bytes=content))


def test_a_package_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(b"PK")

    with pytest.raises(PackageRefused, match="not a folder"):
        load(tmp_path / "package.zip")


def test_onnx_is_read_only_as_bytes(tmp_path: Path) -> None:
    package = load(write_tiny_package(tmp_path / "tiny"))

    assert package.onnx_path == tmp_path / "tiny" / ONNX
