"""The paper's backbones where their weights lie on this machine, Kembar's where they do not; no network is asked."""

from dataclasses import replace
from pathlib import Path

from model_training.paper.cell import PAPER
from model_training.recipe import Recipe

_RESNET18 = "resnet18-f37072fd.pth"  # torchvision's ResNet18_Weights.DEFAULT
_OURS = Recipe()


def choose_backbones(recipe: Recipe, torch_cache: Path, hub_cache: Path) -> tuple[Recipe, list[str]]:
    """
    Replace those of the paper's backbones that cannot be had here; others that a recipe names are left as they are.

    Args:
        torch_cache: where torchvision keeps what it has downloaded; hub_cache: where Hugging Face does.

    Returns:
        The recipe to run, and a line for each backbone that was not found: how to give it.
    """
    lacking = []
    picture = (recipe.picture_backbone, recipe.picture_weights)
    if picture == (PAPER.picture_backbone, PAPER.picture_weights) and not (torch_cache / _RESNET18).is_file():
        recipe = replace(recipe, picture_backbone=_OURS.picture_backbone, picture_weights=_OURS.picture_weights)
        lacking.append(
            f"ResNet18 was not found, {_OURS.picture_backbone} stands in its place: put {_RESNET18} into "
            f"{torch_cache}, or give --picture-backbone resnet18 --picture-weights FILE.safetensors"
        )
    if recipe.title_backbone == PAPER.title_backbone:
        pattern = f"models--*{PAPER.title_backbone}/snapshots/*/config.json"
        whole = [path.parent for path in sorted(hub_cache.glob(pattern)) if any(path.parent.glob("*model*.*"))]
        recipe = replace(recipe, title_backbone=str(whole[-1]) if whole else _OURS.title_backbone)
        if not whole:
            lacking.append(
                f"BERT was not found, {recipe.title_backbone} stands in its place: expected {PAPER.title_backbone} in "
                f"{hub_cache}; fetch it there, or give --title-backbone FOLDER"
            )
    return recipe, lacking
