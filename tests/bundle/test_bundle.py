"""A bundle is used whole and unchanged, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.bundle.bundle import MANIFEST, TOKENIZER, load_bundle
from service.bundle.errors import BundleError, DamagedBundle, GoldenMismatch, ModelFault
from service.bundle.golden import GOLDEN
from service.bundle.sealing import SUMS, seal
from service.bundle.views import View
from tests.bundle.tiny_bundle import DIMENSION, SIDE, SPECS, finish, write_tiny_bundle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A valid bundle."""
    return write_tiny_bundle(tmp_path / "bundle")


def test_a_whole_bundle_loads_and_encodes(path: Path) -> None:
    """Its encoders give unit rows of the promised length, alone as in a batch."""
    bundle = load_bundle(path, threads=1)
    tensors = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    titles = ["word1", "word2 word3 word4", "word5 word1", "unknown", "word7 " * 20]
    for batch, single in (
        (bundle.image.encode(tensors), [bundle.image.encode(tensors[[row]]) for row in range(5)]),
        (bundle.title.encode(titles), [bundle.title.encode([title]) for title in titles]),
    ):
        assert batch.shape == (5, DIMENSION)
        assert np.allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-5)
        assert np.allclose(batch, np.concatenate(single), atol=1e-5)


def test_fingerprint_and_encoder_id_tell_bundles_apart(path: Path, tmp_path: Path) -> None:
    """Other encoders change both; another model card changes the fingerprint alone."""
    first = load_bundle(path, threads=1)
    other = load_bundle(write_tiny_bundle(tmp_path / "other", seed=1), threads=1)
    (path / "MODEL_CARD.md").write_text("new words")
    finish(path)
    reworded = load_bundle(path, threads=1)
    assert len({first.fingerprint, other.fingerprint, reworded.fingerprint}) == 3
    assert first.manifest.encoder_id == reworded.manifest.encoder_id != other.manifest.encoder_id


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", [MANIFEST, TOKENIZER, GOLDEN, "golden/0.png", "image_encoder.onnx"])
@pytest.mark.parametrize("harm", [flip_a_byte, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_changed_file_is_named(path: Path, name: str, harm: Callable[[Path], None]) -> None:
    """A file that was changed, removed or emptied is refused, and the message names it."""
    harm(path / name)
    with pytest.raises(DamagedBundle, match=name):
        load_bundle(path, threads=1)


def test_what_does_not_belong_is_named(path: Path) -> None:
    """An extra file, a pickle say, is refused; so is a link that leads outside."""
    (path / "weights.pt").write_bytes(b"pickle")
    with pytest.raises(DamagedBundle, match=r"weights\.pt.*not listed"):
        load_bundle(path, threads=1)
    (path / "weights.pt").unlink()
    for target in ("/etc/passwd", "/etc", "image_encoder.onnx"):
        (path / "link").symlink_to(target)
        with pytest.raises(DamagedBundle, match="link"):
            load_bundle(path, threads=1)
        (path / "link").unlink()


def test_a_directory_without_sums_is_no_bundle(tmp_path: Path) -> None:
    """An empty directory, or none, is refused with what was expected."""
    with pytest.raises(DamagedBundle, match=SUMS):
        load_bundle(tmp_path, threads=1)
    with pytest.raises(DamagedBundle, match=SUMS):
        load_bundle(tmp_path / "nowhere", threads=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("format_version", 2), ("weights", {"image": 2.0}), ("surprise", 1), ("gallery_size", "many")],
)
def test_a_manifest_of_another_kind_is_refused(path: Path, field: str, value: object) -> None:
    """A sealed bundle.json whose fields are wrong is refused by the field's name."""
    document = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**document, field: value}))
    seal(path)
    with pytest.raises(DamagedBundle, match=field):
        load_bundle(path, threads=1)


def test_encoders_of_another_bundle_are_refused(path: Path, tmp_path: Path) -> None:
    """Swapping in another model of the same shape, and sealing anew, does not pass: the encoder id differs."""
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    (path / "image_encoder.onnx").write_bytes((other / "image_encoder.onnx").read_bytes())
    seal(path)
    with pytest.raises(DamagedBundle, match="encoder_id"):
        load_bundle(path, threads=1)


def test_golden_vectors_hold_the_encoders(path: Path, tmp_path: Path) -> None:
    """Encoders that answer otherwise than where the bundle was made are refused, with both figures."""
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    (path / GOLDEN).write_bytes((other / GOLDEN).read_bytes())
    seal(path)
    with pytest.raises(GoldenMismatch, match=r"expected cosine >= 0\.999, got -?\d"):
        load_bundle(path, threads=1)


def test_a_file_that_was_never_sealed_is_named(path: Path) -> None:
    """A bundle without one of its encoders is refused by that file's name, although its seal holds."""
    (path / "title_encoder.onnx").unlink()
    seal(path)
    with pytest.raises(DamagedBundle, match=r"title_encoder\.onnx"):
        load_bundle(path, threads=1)


def test_a_golden_example_holds_both_views(path: Path) -> None:
    """An example without a view's vector proves nothing of that view, and is refused."""
    examples = json.loads((path / GOLDEN).read_text())
    del examples[0]["vectors"]["title"]
    (path / GOLDEN).write_text(json.dumps(examples))
    seal(path)
    with pytest.raises(GoldenMismatch):
        load_bundle(path, threads=1)


def move_outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def external(model: onnx.ModelProto) -> None:
    move_outside(model.graph.initializer[0])


def external_constant(model: onnx.ModelProto) -> None:
    tensor = move_outside(onnx.TensorProto(data_type=1, dims=[1], name="inner"))
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["unused"], value=tensor))


def external_in_function(model: onnx.ModelProto) -> None:
    tensor = move_outside(onnx.TensorProto(data_type=1, dims=[1], name="inner"))
    node = onnx.helper.make_node("Constant", [], ["unused"], value=tensor)
    model.functions.append(onnx.helper.make_function("own", "f", [], ["unused"], [node], []))


@pytest.mark.parametrize("harm", [external, external_constant, external_in_function])
def test_external_data_is_refused_before_it_is_opened(path: Path, harm: Callable[[onnx.ModelProto], None]) -> None:
    """Weights kept outside the file are refused, wherever in the graph they hide."""
    model = onnx.load(path / SPECS[View.IMAGE].file, load_external_data=False)
    harm(model)
    (path / SPECS[View.IMAGE].file).write_bytes(model.SerializeToString())
    finish(path)
    with pytest.raises(DamagedBundle, match="external data"):
        load_bundle(path, threads=1)


@pytest.mark.parametrize("content", [b"not a model", b"\xff" * 100, b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_model_is_refused(path: Path, content: bytes) -> None:
    """Bytes that are no ONNX model are refused by the file's name."""
    (path / SPECS[View.TITLE].file).write_bytes(content)
    finish(path)
    with pytest.raises(BundleError, match=r"title_encoder\.onnx"):
        load_bundle(path, threads=1)


def test_a_model_with_other_inputs_is_refused(path: Path) -> None:
    """Image and title encoder exchanged: the inputs are not the ones wanted."""
    image, title = (path / SPECS[view].file for view in (View.IMAGE, View.TITLE))
    image_bytes = image.read_bytes()
    image.write_bytes(title.read_bytes())
    title.write_bytes(image_bytes)
    finish(path)
    with pytest.raises(DamagedBundle, match="inputs"):
        load_bundle(path, threads=1)


def test_a_vector_without_length_is_a_model_fault(path: Path) -> None:
    """A black picture projects to nothing here: the encoder says so instead of handing on NaN or zeros."""
    bundle = load_bundle(path, threads=1)
    with pytest.raises(ModelFault, match=r"image_encoder\.onnx"):
        bundle.image.encode(np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8))
