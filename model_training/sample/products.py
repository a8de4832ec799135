"""What the drawn shop sells: products, in families that share brand and pack and differ in size, flavour or colour."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

# Per variant: its name in English, in Indonesian, its colour.
VARIANTS = {
    "colours": """
        black:hitam:2c2c30 white:putih:eeece8 red:merah:c4262c navy:dongker:222e5c sky_blue:biru_muda:80b6e0
        green:hijau:2c804a sage:hijau_sage:9eb092 pink:merah_muda:ee9eb6 yellow:kuning:f4cc42 lilac:ungu_muda:b69cd6
        grey:abu-abu:8c8e92 brown:coklat:764e34 cream:krem:e6d6b8 orange:oranye:ec7a28 maroon:marun:701a2a
        teal:tosca:248e8e olive:hijau_army:5c6238""",
    "tastes": """
        strawberry:stroberi:e2364c mango:mangga:faa820 grape:anggur:703e96 apple:apel:70b238 chocolate:coklat:623a26
        vanilla:vanila:f0d896 coconut:kelapa:d6d0c4 matcha:matcha:88a854 coffee:kopi:7a5438 orange:jeruk:f6821e
        cheese:keju:f8c43c spicy:pedas:ce241c original:ori:285ca8 honey:madu:de9622 melon:melon:a8d070
        blueberry:bluberi:4854a8 durian:durian:c8b040""",
    "scents": """
        lavender:lavender:967ac8 rose:mawar:de5c7e aloe:lidah_buaya:60ac6e mint:mint:5cc4b0 jasmine:melati:eae2aa
        charcoal:arang:3e4046 green_tea:teh_hijau:7ca44e sakura:sakura:f6aac0 lemon:lemon:f6d63a ocean:laut:2e80c4
        musk:kesturi:967662 papaya:pepaya:f08448 ginseng:ginseng:b4783c""",
}
SIZES = {
    "ml": "60ml 100ml 250ml 500ml 1L", "gram": "50g 100g 250g 500g 1kg", "gb": "32GB 64GB 128GB 256GB", "pieces": "10pcs 20pcs 50pcs",
    "watt": "3W 5W 9W 12W", "cm": "12cm 18cm 24cm", "paper": "A6 A5 B5 A4", "mah": "5000mAh 10000mAh 20000mAh", "one": "",
}  # fmt: skip
# Per line: what variants it has, what it is sold by, and then shape, English and Indonesian name of each good.
GOODS = """\
scents ml bottle:shampoo:sampo bottle:body_lotion:losion_badan bottle:fabric_softener:pewangi_pakaian
scents ml pump:hand_soap:sabun_cuci_tangan pump:serum:serum_wajah pump:body_wash:sabun_mandi
scents ml tube:facial_wash:sabun_muka spray:deodorant:deodoran spray:air_freshener:pengharum_ruangan
scents ml spray:hair_spray:semprotan_rambut
scents gram jar:face_cream:krim_wajah jar:hair_mask:masker_rambut tube:toothpaste:pasta_gigi
scents gram candle:scented_candle:lilin_aroma flat_box:soap_bar:sabun_batang pouch:detergent:deterjen
scents pieces cube_box:face_mask:masker pouch:wet_wipes:tisu_basah
tastes ml sauce:syrup:sirup sauce:chili_sauce:saus_sambal can:soda:minuman_soda can:milk_coffee:kopi_susu
tastes ml carton:juice:jus_buah carton:UHT_milk:susu_UHT
tastes gram jar:jam:selai jar:cookies:kue_kering tin:powder_milk:susu_bubuk tin:wafer_roll:wafer_stik
tastes gram tall_box:cereal:sereal tall_box:pancake_mix:tepung_pancake pouch:chips:keripik
tastes gram pouch:coffee_powder:kopi_bubuk pouch:instant_noodle:mie_instan
tastes pieces tall_box:tea:teh_celup flat_box:biscuit:biskuit flat_box:vitamin_C:suplemen
colours one mug:ceramic_mug:gelas_keramik lipstick:lip_cream:lipstik vase:flower_vase:vas_bunga shirt:T-shirt:kaos
colours one shirt:jersey:jersey_bola hoodie:hoodie:jaket_hoodie hoodie:sweater:sweter
colours one trousers:jogger_pants:celana_panjang dress:midi_dress:gamis cap:cap:topi shoe:sneakers:sepatu
colours one shoe:running_shoes:sepatu_lari bag:hand_bag:tas_wanita backpack:backpack:tas_ransel
colours one headphones:headphones:headset phone_back:phone_case:casing_hp watch:watch:jam_tangan
colours one glasses:sunglasses:kacamata cube_box:earphone_TWS:headset_bluetooth cube_box:wireless_mouse:mouse_wireless
colours gb phone:smartphone:hp_android drive:flash_drive:flashdisk
colours watt lamp:desk_lamp:lampu_meja bulb:LED_bulb:bohlam_LED
colours cm planter:plant_pot:pot_tanaman pan:frying_pan:wajan_teflon
colours mah power_bank:power_bank:powerbank
colours paper book:notebook:buku_tulis book:planner:agenda
colours ml tumbler:tumbler:botol_minum"""
SYLLABLES = "ka lu mo ren vi sta bri no ze fa dri qua pel ti nor ha sol ve mi ja ro gan wi xo lar dul"


@dataclass(frozen=True, slots=True)
class Product:
    """One product. A family shares `shape`, `names`, `brand`, `code`, `base` and `design`; variant or size tell it apart."""

    shape: str
    names: tuple[str, str]  # English, Indonesian
    brand: str
    code: str
    variant: tuple[str, str]  # English, Indonesian
    accent: Colour  # the colour of the variant
    size: str
    bulk: int  # 0 is the smallest size
    base: Colour
    design: int  # seed of everything that the pack's designer decided


def draw_family(seed: int, number: int) -> list[Product]:
    """The 1 to 4 products of one family, hard negatives of each other; the same for the same arguments, always."""
    rng = np.random.default_rng([seed, number])
    goods = [(line.split()[:2], good) for line in GOODS.splitlines() for good in line.split()[2:]]
    (variants, sizes), good = goods[rng.integers(len(goods))]
    shape, english, indonesian = good.replace("_", " ").split(":")
    ways, ladder = rng.permutation(VARIANTS[variants].split()), SIZES[sizes].split() or [""]
    rungs = rng.permutation(len(ladder))
    by_size = len(ladder) > 1 and rng.random() < 0.5
    by_variant = not by_size or rng.random() < 0.3
    many = min(int(rng.choice(4, p=(0.5, 0.25, 0.15, 0.1))) + 1, len(ways) if by_variant else len(ladder))
    code = "".join(rng.choice(list("ABDGKMRSTVXZ"), 2)) + str(rng.integers(2, 99) * int(rng.choice([1, 5, 10])))
    brand, base, design = brand_name(int(rng.integers(700))), _pack_colour(rng), int(rng.integers(2**31))
    family = []
    for member in range(many):
        way, local, colour = str(ways[member * by_variant]).replace("_", " ").split(":")
        rung, accent = int(rungs[member * by_size % len(ladder)]), (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16))
        names = (english, indonesian)
        family.append(Product(shape, names, brand, code, (way, local), accent, ladder[rung], rung, base, design))
    return family


def brand_name(number: int) -> str:
    """A made-up name, always the same for the same number."""
    rng = np.random.default_rng([11, number])
    return "".join(rng.choice(SYLLABLES.split(), 2 + (number % 3 > 0))).capitalize() + ("", "", "x", "n", "s")[number % 5]


def _pack_colour(rng: np.random.Generator) -> Colour:
    """A colour of any hue, pale or strong, as a pack's designer might take."""
    hue, strength, value = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.45), rng.uniform(110, 235)
    red, green, blue = (int(value * (1 - strength + strength * np.cos(hue + k * 2.1))) for k in range(3))
    return red, green, blue
