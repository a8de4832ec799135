"""Which backbones `kembar-train paper` runs on."""

from pathlib import Path

import pytest

from model_training.paper.backbones import choose_backbones
from model_training.paper.cell import PAPER
from model_training.recipe import PictureArchitecture, Recipe

RESNET = (PictureArchitecture.RESNET18, "torchvision")
OURS = (PictureArchitecture.EFFICIENTNET_LITE0, "packaged")


@pytest.mark.parametrize(
    ("asked", "resnet_there", "bert_there", "picture", "title", "said"),
    [
        (PAPER, True, True, RESNET, "9fe1", []),
        (PAPER, False, True, OURS, "9fe1", ["resnet18-f37072fd.pth into"]),
        (PAPER, True, False, RESNET, "minilm", ["--title-backbone FOLDER"]),
        (PAPER, False, False, OURS, "minilm", ["--picture-weights FILE", "--title-backbone FOLDER"]),
        (Recipe(PictureArchitecture.RESNET18, "own.safetensors", "folder/bert"), False, False,
         (PictureArchitecture.RESNET18, "own.safetensors"), "bert", []),
    ],
)  # fmt: skip
def test_the_papers_backbones_where_they_can_be_had(
    tmp_path: Path, asked: Recipe, resnet_there: bool, bert_there: bool, picture: object, title: str, said: list[str]
) -> None:
    """Each is taken from its cache; one that is not there is replaced and named with how to give it; others stay."""
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / "9fe1"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").touch()  # left behind by a download that was broken off
    for path, there in (
        (tmp_path / "resnet18-f37072fd.pth", resnet_there),
        (snapshot / "model.safetensors", bert_there),
    ):
        if there:
            path.touch()
    recipe, lacking = choose_backbones(asked, tmp_path, tmp_path / "hub")
    assert (recipe.picture_backbone, recipe.picture_weights) == picture
    assert Path(recipe.title_backbone).name == title
    assert [part in line for part, line in zip(said, lacking, strict=True)] == [True] * len(said)
