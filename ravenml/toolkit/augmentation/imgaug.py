"""Operations as Supervisely's ImgAug Studio writes them, in terms of ours.

The file is ``{"pipeline": [{"category", "name", "params", "sometimes", "python"}, …], "random_order"}``,
where category, name and params are a class of imgaug's and its arguments, and a list of two numbers is a
range to draw from (https://github.com/supervisely-ecosystem/imgaug-studio).  Colours are 0 … 255 there.
What has no counterpart here is an error that names it: nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ravenml.common.io import JsonObject
from ravenml.errors import InputError

Params = JsonObject
FILLS = {"constant": "constant", "edge": "edge", "symmetric": "reflect", "reflect": "reflect"}
IGNORED = ("seed", "name", "random_state", "deterministic", "backend")  # say nothing about the result
_UNSET = object()


class _Taken:
    """The arguments of one operation, taken one by one; what is left over was not understood."""

    def __init__(self, params: Params, where: str) -> None:
        self.left = {name: value for name, value in params.items() if name not in IGNORED}
        self.where = where

    def __call__(self, name: str, default: object = _UNSET) -> Any:
        if name not in self.left and default is _UNSET:
            raise InputError(f"{self.where}: {name} is missing.")
        return self.left.pop(name, default)

    def range(self, name: str, default: object = _UNSET, times: float = 1.0) -> list[float]:
        """A number or a list of two; a longer list would be a choice, which we do not have."""
        value = self(name, default)
        pair = [value, value] if isinstance(value, int | float) else value
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(v, int | float) for v in pair):
            raise InputError(f"{self.where}: {name} must be a number or a range of two, not {value!r}.")
        return sorted(v * times for v in pair)

    def only(self, name: str, *allowed: object) -> object:
        """An argument that may be missing, or one of these."""
        value = self(name, allowed[0])
        if value not in allowed:
            raise InputError(f"{self.where}: {name} = {value!r} is not supported, only {allowed[0]!r}.")
        return value

    def fill(self, mode: str = "mode", value: str = "cval") -> str:
        """How the outside is filled."""
        chosen = self(mode, "constant")
        if chosen not in FILLS:
            raise InputError(f"{self.where}: {mode} = {chosen!r} is not supported, only {', '.join(FILLS)}.")
        if chosen == "constant":
            self.only(value, 0)
        else:
            self(value, 0)
        return FILLS[chosen]

    def geometric(self) -> Params:
        """What all operations of imgaug's ``geometric`` share."""
        self("order", 1)
        self.only("fit_output", False)
        return {"fill": self.fill()}


def _brightness(taken: _Taken) -> Params:
    taken("to_colorspace", None)  # every space that imgaug offers separates brightness from colour
    taken.only("from_colorspace", "RGB")
    return {
        "name": "brightness",
        "multiply": taken.range("mul", [1, 1]),
        "add": taken.range("add", [0, 0], 1 / 255),
        "random_order": bool(taken("random_order", False)),
    }


def _affine(field: str, param: str, times: float = 1.0) -> Callable[[_Taken], Params]:
    def convert(taken: _Taken) -> Params:
        return {"name": "affine", field: taken.range(param, times=times), **taken.geometric()}

    return convert


def _affine_whole(taken: _Taken) -> Params:
    result: Params = {"name": "affine", "degrees": taken.range("rotate", 0)}
    for param, field, neutral in (
        ("scale", "scale", 1),
        ("translate_percent", "translate", 0),
        ("shear", "shear", 0),
    ):
        value = taken(param, None)
        if isinstance(value, dict):
            both = _Taken(value, f"{taken.where}: {param}")
            result |= {f"{field}_{side}": both.range(side, neutral) for side in ("x", "y")}
        elif value is not None:
            pair = _Taken({param: value}, taken.where).range(param)
            result[f"{field}_x"] = pair
            if param != "shear":  # a single value shears along x alone
                result[f"{field}_y"] = pair
            result |= {"keep_aspect": True} if param == "scale" else {}
    taken.only("translate_px", None)
    return result | taken.geometric()


def _crop_pad(taken: _Taken) -> Params:
    taken.only("px", None)
    taken("keep_size", True)  # the result is resized to the network's input in any case
    percent = taken.range("percent")
    independent = taken("sample_independently", True)
    fill = taken.fill("pad_mode", "pad_cval")
    return {"name": "crop_pad", "percent": percent, "same_on_all_sides": not independent, "fill": fill}


def _crop(taken: _Taken) -> Params:
    taken.only("px", None)
    taken("keep_size", True)
    percent = taken.range("percent", times=-1)
    return {
        "name": "crop_pad",
        "percent": percent,
        "same_on_all_sides": not taken("sample_independently", True),
    }


def _jpeg(taken: _Taken) -> Params:
    low, high = taken.range("compression")
    return {"name": "jpeg", "quality": [1 + (100 - high) * 0.99, 1 + (100 - low) * 0.99]}


def _cutout(taken: _Taken) -> Params:
    taken.only("fill_mode", "constant")
    taken.only("squared", True, False)
    taken.only("position", "uniform")
    taken("fill_per_channel", False)
    value = taken.range("cval", 128, 1 / 255)
    if value[0] != value[1]:
        raise InputError(f"{taken.where}: cval must be one number.")
    count, size = taken.range("nb_iterations", 1), taken.range("size", 0.2)
    return {"name": "cutout", "count": count, "size": size, "value": value[0]}


def _noise(taken: _Taken) -> Params:
    taken.only("loc", 0)
    deviation = taken.range("scale", [0, 15], 1 / 255)
    return {"name": "noise", "deviation": deviation, "per_channel": bool(taken("per_channel", False))}


def _motion_blur(taken: _Taken) -> Params:
    low, high = taken.range("k", 5)
    if low != high or int(low) % 2 == 0:
        raise InputError(f"{taken.where}: k must be one odd number.")
    taken("order", 1)
    angle, direction = taken.range("angle", [0, 360]), taken.range("direction", [-1, 1])
    return {"name": "motion_blur", "size": int(low), "angle": angle, "direction": direction}


def _add(taken: _Taken) -> Params:
    taken.only("per_channel", False)
    return {"name": "brightness", "multiply": 1, "add": taken.range("value", [-20, 20], 1 / 255)}


def _gamma(taken: _Taken) -> Params:
    taken.only("per_channel", False)
    return {"name": "gamma", "gamma": taken.range("gamma", [0.7, 1.7])}


def _contrast(taken: _Taken) -> Params:
    taken.only("per_channel", False)
    return {"name": "contrast", "factor": taken.range("alpha", [0.6, 1.4])}


def _saturation(taken: _Taken) -> Params:
    taken.only("from_colorspace", "RGB")
    return {"name": "saturation", "factor": taken.range("mul", [0, 3])}


def _grayscale(taken: _Taken) -> Params:
    taken.only("from_colorspace", "RGB")
    return {"name": "grayscale", "alpha": taken.range("alpha", 1)}


CONVERTERS: dict[tuple[str, str], Callable[[_Taken], Params]] = {
    ("arithmetic", "Add"): _add,
    ("arithmetic", "Multiply"): lambda t: {
        "name": "multiply",
        "factor": t.range("mul", [0.8, 1.2]),
        "per_channel": bool(t("per_channel", False)),
    },
    ("arithmetic", "AdditiveGaussianNoise"): _noise,
    ("arithmetic", "SaltAndPepper"): lambda t: {
        "name": "salt_pepper",
        "amount": t.range("p", [0, 0.03]),
        "per_channel": bool(t("per_channel", False)),
    },
    ("arithmetic", "JpegCompression"): _jpeg,
    ("arithmetic", "Cutout"): _cutout,
    ("blur", "GaussianBlur"): lambda t: {"name": "blur", "sigma": t.range("sigma", [0, 3])},
    ("blur", "MotionBlur"): _motion_blur,
    ("color", "MultiplyAndAddToBrightness"): _brightness,
    ("color", "MultiplyBrightness"): _brightness,
    ("color", "AddToBrightness"): _brightness,
    ("color", "MultiplySaturation"): _saturation,
    ("color", "Grayscale"): _grayscale,
    ("contrast", "GammaContrast"): _gamma,
    ("contrast", "LinearContrast"): _contrast,
    ("flip", "Fliplr"): lambda t: {"name": "flip_lr", "p": t("p", 1)},
    ("flip", "Flipud"): lambda t: {"name": "flip_ud", "p": t("p", 1)},
    ("geometric", "Rotate"): lambda t: {"name": "rotate", "degrees": t.range("rotate"), **t.geometric()},
    ("geometric", "ShearX"): _affine("shear_x", "shear"),
    ("geometric", "ShearY"): _affine("shear_y", "shear"),
    ("geometric", "ScaleX"): _affine("scale_x", "scale"),
    ("geometric", "ScaleY"): _affine("scale_y", "scale"),
    ("geometric", "TranslateX"): _affine("translate_x", "percent"),
    ("geometric", "TranslateY"): _affine("translate_y", "percent"),
    ("geometric", "Affine"): _affine_whole,
    ("size", "CropAndPad"): _crop_pad,
    ("size", "Crop"): _crop,
}


def from_imgaug(step: JsonObject, where: str) -> Params:
    """One operation in our form.

    Args:
        step: an element of the file's ``pipeline``.
        where: the file and the element, for messages.

    Raises:
        InputError: we do not have the operation, or not with this argument.
    """
    category, name = step.get("category"), step.get("name")
    convert = CONVERTERS.get((str(category), str(name)))
    if convert is None:
        known = ", ".join(f"{c}.{n}" for c, n in CONVERTERS)
        raise InputError(
            f"{where}: there is no counterpart of imgaug's {category}.{name}; there are {known}."
        )
    params = step.get("params", {})
    if not isinstance(params, dict):
        raise InputError(f"{where}: params of {category}.{name} must be fields with values.")
    taken = _Taken(params, f"{where} ({category}.{name})")
    result = convert(taken)
    if taken.left:
        raise InputError(f"{taken.where}: {next(iter(taken.left))} is not supported here.")
    chance = step.get("sometimes")
    result["p"] = float(result.get("p", 1)) * (1.0 if chance is None else float(chance))
    return result
