"""The colours of a person, RGB from 0 to 255."""

from dataclasses import dataclass

from lrface.data.synthetic.identity import Identity
from lrface.data.synthetic.sketch import Colour, mix

_SKIN: tuple[Colour, ...] = ((243, 208, 184), (226, 178, 146), (190, 138, 104), (136, 92, 66), (96, 64, 48))
_HAIR: tuple[Colour, ...] = ((26, 22, 22), (54, 36, 28), (92, 62, 42), (148, 112, 68), (206, 172, 116))
_IRIS: tuple[Colour, ...] = ((74, 44, 26), (124, 86, 42), (98, 122, 72), (122, 134, 140), (78, 124, 172))
_GREY: Colour = (176, 174, 172)
_COPPER: Colour = (150, 72, 36)
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """The colours with which the shapes are filled."""

    skin: Colour
    line: Colour  # creases and outlines of the skin
    shade: Colour  # parts of the skin that lie deeper
    hair: Colour
    hair_dark: Colour
    hair_light: Colour
    brow: Colour
    beard: Colour
    iris: Colour
    upper_lip: Colour
    lower_lip: Colour
    mole: Colour
    freckle: Colour


def _along(stops: tuple[Colour, ...], share: float) -> Colour:
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(at), len(stops) - 2)
    return mix(stops[index], stops[index + 1], at - index)


def palette(who: Identity) -> Palette:
    """Compute the colours of a person."""
    red, green, blue = _along(_SKIN, who.skin_tone**1.3)
    skin = (red + 3 * who.skin_warmth, green, blue - 8 * who.skin_warmth)
    # Dark skin usually goes with dark hair and eyes.
    fairness = 1 - 0.75 * who.skin_tone
    hair = mix(_along(_HAIR, who.hair_shade * fairness), _COPPER, max(0.0, who.hair_warmth - 0.7) * 2 * fairness)
    hair = mix(hair, _GREY, max(0.0, who.age - 0.62) * 2.3)
    iris = mix(_along(_IRIS, who.iris_hue * fairness), _BLACK, 0.45 * who.iris_shade)
    lip = mix(mix(skin, (176, 74, 76), 0.28 + 0.5 * who.lip_redness), _BLACK, 0.1 * who.skin_tone)
    return Palette(
        skin=skin,
        line=mix(skin, (62, 26, 18), 0.52),
        shade=mix(skin, (120, 56, 40), 0.26),
        hair=hair,
        hair_dark=mix(hair, _BLACK, 0.4),
        hair_light=mix(hair, (255, 226, 190), 0.2),
        brow=mix(mix(hair, skin, 0.42 * who.brow_shade), _BLACK, 0.22),
        beard=mix(hair, _BLACK, 0.15),
        iris=iris,
        upper_lip=mix(lip, _BLACK, 0.16),
        lower_lip=mix(lip, _WHITE, 0.06),
        mole=mix(skin, (44, 22, 16), 0.74),
        freckle=mix(skin, (128, 66, 34), 0.42),
    )
