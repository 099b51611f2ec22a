"""How much each place looks like a tube, a sheet or a blob, as a further channel for the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import Array
from monai_topo.transforms._base import ArrayTransform, Spacing, check_spacing
from monai_topo.transforms._dictionary import DictionaryTransform

itk, _ = optional_import("itk")  # a dependency, loaded piece by piece as it is used

__all__ = ["Vesselness", "VesselnessD", "VesselnessDict", "Vesselnessd"]

Response = NDArray[np.float32]


class Vesselness(ArrayTransform):
    """Measure tubes, sheets or blobs by the eigenvalues of the Hessian, at several scales.

    ITK's `HessianToObjectnessMeasure` at each scale, the greatest response of all: Frangi, Niessen, Vincken, Viergever,
    "Multiscale vessel enhancement filtering", MICCAI 1998, in the form of Antiga, "Generalizing vesselness with respect
    to dimensionality and shape", Insight Journal 2007. Derivatives are normalized across scales. A voxel's response
    lies in [0, 1); it is the greatest at the middle of a tube where sigma is about its radius.

    Args:
        sigmas: scales, in voxels, or in millimeters if `spacing` is given.
        bright: whether structures are brighter than what surrounds them.
        object_dimension: 0 blobs, 1 lines and tubes, 2 sheets (3D only).
        alpha: the smaller, the more sheets are told from tubes.
        beta: the smaller, the more blobs are told from tubes.
        gamma: Hessian norm at which a structure counts as one, in units of the image; None takes half of the greatest
            at each scale, as Frangi et al. do, so the result does not depend on the image's contrast.
        append: whether the channels of the response follow those of the image; otherwise they replace them.
        spacing: None for voxels; `"affine"` takes the size of a voxel from the metadata, numbers give it in
            millimeters, one an axis.

    Raises:
        ValueError: if a setting is none of these, sheets are asked for in 2D, an axis is shorter than 4 voxels (ITK's
            recursive Gaussians), the image is not finite or not channel first.

    The result is float32; a constant image has response 0. Each channel by itself. Deterministic; three seconds a scale
    for 128^3.
    """

    def __init__(
        self,
        *,
        sigmas: Sequence[float] = (1.0, 2.0, 3.0),
        bright: bool = True,
        object_dimension: int = 1,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float | None = None,
        append: bool = True,
        spacing: Spacing = None,
    ) -> None:
        gammas = [] if gamma is None else [gamma]
        for name, values in (("sigmas", list(sigmas)), ("alpha", [alpha]), ("beta", [beta]), ("gamma", gammas)):
            if (not values and name == "sigmas") or not all(0 < value < float("inf") for value in values):
                raise ValueError(f"Expected `{name}` to be finite and greater than 0, but got {values}.")
        if object_dimension not in (0, 1, 2):
            raise ValueError(f"Expected `object_dimension` to be 0, 1 or 2, but got {object_dimension!r}.")
        self.sigmas = tuple(float(sigma) for sigma in sigmas)
        self.bright = bright
        self.object_dimension = object_dimension
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.append = append
        self.spacing = check_spacing(spacing)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the image with its response, or the response."""
        if self.object_dimension >= array.ndim - 1:
            raise ValueError("Expected `object_dimension` to be 0 or 1 for a 2D image, but got 2: it has no sheets.")
        if min(array.shape[1:]) < 4:
            raise ValueError(f"Expected an image of at least 4 voxels along each axis, but got shape {array.shape}.")
        image = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(image).all():
            raise ValueError("Expected an image of finite values, but got NaN or infinite ones.")
        response = np.stack([self._response(channel, spacing_mm) for channel in image])
        return np.concatenate([image, response]) if self.append else response

    def _response(self, image: Response, spacing_mm: tuple[float, ...]) -> Response:
        picture = itk.image_from_array(image)
        picture.SetSpacing(spacing_mm[::-1])  # ITK counts axes from the fastest
        greatest = np.zeros_like(image)
        for sigma in self.sigmas:
            hessian = itk.hessian_recursive_gaussian_image_filter(picture, sigma=sigma, normalize_across_scale=True)
            gamma = self.gamma or 0.5 * _greatest_norm(hessian, image.ndim)
            if gamma > 1e-6 * float(np.abs(image).max()):  # else constant but for rounding
                greatest = np.maximum(greatest, self._objectness(hessian, gamma, image.ndim))
        return greatest

    def _objectness(self, hessian: Any, gamma: float, ndim: int) -> Response:
        measure = itk.HessianToObjectnessMeasureImageFilter[type(hessian), itk.Image[itk.F, ndim]].New(
            Input=hessian,
            BrightObject=self.bright,
            ObjectDimension=self.object_dimension,
            ScaleObjectnessMeasure=False,
            Alpha=self.alpha,
            Beta=self.beta,
            Gamma=gamma,
        )
        measure.Update()
        return np.asarray(itk.array_from_image(measure.GetOutput()), dtype=np.float32)


def _greatest_norm(hessian: Any, ndim: int) -> float:
    upper = np.asarray(itk.array_view_from_image(hessian))  # the upper triangle, row by row
    twice = np.array([1, 2, 1] if ndim == 2 else [1, 2, 2, 1, 2, 1])
    return float(np.sqrt((upper**2 @ twice).max()))


Vesselnessd = VesselnessD = VesselnessDict = DictionaryTransform.of(Vesselness)
