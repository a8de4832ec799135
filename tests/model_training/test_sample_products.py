import dataclasses
import re

import numpy as np

from model_training.sample.catalogue import draw_view
from model_training.sample.labels import label
from model_training.sample.products import brand_name, draw_family, shop
from model_training.sample.titles import escaped, title


def test_a_family_differs_in_size_or_variant_and_in_nothing_that_a_seller_names_besides() -> None:
    """Hard negatives: brand, code, shape and design are shared, and no two members have the same variant and size."""
    differing = set()
    for number in range(300):
        family = draw_family(5, number)
        assert len({(product.variant, product.size) for product in family}) == len(family)
        assert (
            len({(product.brand, product.code, product.shape, product.base, product.design) for product in family}) == 1
        )
        if len(family) > 1:
            differing.add((len({p.size for p in family}) > 1, len({p.variant for p in family}) > 1))
    assert differing == {(True, False), (False, True), (True, True)}


def test_every_good_can_be_drawn_in_both_poses() -> None:
    """Each shape gives an RGBA picture that fills its frame and leaves something transparent."""
    drawn = set()
    for number in range(1000):
        shape = draw_family(1, number)[0].shape
        if shape in drawn:
            continue
        drawn.add(shape)
        for pose in (0, 1):
            picture = draw_view(1, number, 0, pose)
            coverage = np.asarray(picture.getchannel("A")) > 0
            left, top, right, bottom = picture.getbbox()
            assert max(left, top, picture.width - right, picture.height - bottom) <= 3
            assert 0.1 < coverage.mean() < 1
    assert drawn == {good[0] for good in shop().goods}


def test_a_pack_shows_what_tells_it_apart() -> None:
    """The labels of two members of a family differ, though one may differ by its size alone."""
    families = [family for family in (draw_family(2, number) for number in range(60)) if len(family) > 1]
    for family in families:
        one, other = (label(product, 240, 360).tobytes() for product in family[:2])
        assert one != other


def test_a_label_shows_the_size_in_writing() -> None:
    """Changing nothing but the text of the size changes the label."""
    product = draw_family(2, 0)[0]
    assert label(product, 240, 360).tobytes() != label(dataclasses.replace(product, size="77ml"), 240, 360).tobytes()


def test_titles_state_size_and_variant() -> None:
    """The size survives every seller's taste, written once; so does the variant but for typos, in nine of ten."""
    rng, stated, written = np.random.default_rng(0), 0, 0
    for number in range(300):
        for product in draw_family(4, number):
            line = title(product, rng).casefold()
            size, unit = product.size.casefold(), product.size.lstrip("0123456789").casefold()
            assert size in line.replace(" ", "")
            assert not unit or not re.search(rf"(\d|\b){unit} {unit}\b", line)
            stated += any(name.casefold() in line for name in product.variant)
            written += 1
    assert stated > written * 0.9


def test_titles_of_one_product_vary() -> None:
    """Fifty sellers write at least forty different titles, in capitals, in small letters, with and without promises."""
    rng = np.random.default_rng(0)
    titles = [title(draw_family(4, 1)[0], rng) for _ in range(50)]
    assert len(set(titles)) >= 40
    assert any(line.isupper() for line in titles)
    assert any(line.islower() for line in titles)
    assert any(not line.isascii() for line in titles)


def test_escaping_can_be_undone() -> None:
    """Every mark beyond ASCII becomes its UTF-8 bytes in lower-case hexadecimal, the rest stays."""
    text = "SABUN … 🔥 é 50%"
    assert escaped(text) == r"SABUN \xe2\x80\xa6 \xf0\x9f\x94\xa5 \xc3\xa9 50%"
    assert escaped(text).encode("latin-1").decode("unicode_escape").encode("latin-1").decode("utf-8") == text


def test_brands_are_names_and_stay() -> None:
    """A number always gives the same name; seven hundred numbers give at least five hundred."""
    names = [brand_name(number) for number in range(700)]
    assert names == [brand_name(number) for number in range(700)]
    assert len(set(names)) >= 500
    assert all(name.isalpha() and name.istitle() for name in names)
