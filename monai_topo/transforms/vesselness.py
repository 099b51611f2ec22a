"""Vesselness: the response of a filter for tubes, sheets or blobs, as an additional channel for the network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Array
from monai_topo.transforms._base import ArrayTransform, Spacing, check_spacing
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = ["Vesselness", "VesselnessD", "VesselnessDict", "Vesselnessd"]

Response = NDArray[np.float32]


class Vesselness(ArrayTransform):
    """Detect tubes, sheets or blobs by the eigenvalues of the Hessian, at several scales.

    The result is the greatest response of ITK's `HessianToObjectnessMeasure` over all scales, with derivatives
    normalized across scales. The response of a voxel lies in [0, 1). It is greatest in the middle of a tube, at a sigma
    of about its radius. Each channel is filtered separately.

    Source: Frangi, Niessen, Vincken, Viergever, "Multiscale vessel enhancement filtering", MICCAI 1998, in the form of
    Antiga, "Generalizing vesselness with respect to dimensionality and shape", Insight Journal 2007.

    Args:
        sigmas: Scales, in voxels, or in millimeters if `spacing` is given.
        bright: Whether the structures are brighter than their surroundings.
        object_dimension: 0 for blobs, 1 for lines and tubes, 2 for sheets (3D only).
        alpha: Scale of the ratio R_A, which is small for sheets: a factor of the response is
            `1 - exp(-R_A^2 / (2 alpha^2))`.
        beta: Scale of the ratio R_B, which is large for blobs: a factor of the response is
            `exp(-R_B^2 / (2 beta^2))`.
        gamma: Norm of the Hessian from which on a voxel counts as a structure, in units of the image. None uses half of
            the greatest norm at each scale, as Frangi et al. do; the result is then independent of the contrast.
        append: Whether to append the channels of the response to those of the image, instead of replacing them.
        spacing: None for voxels; `"affine"` reads the voxel size from the metadata; numbers give it in millimeters, one
            per axis.

    Raises:
        ValueError: If a setting is not one of these; at the call, if `object_dimension` is 2 for a 2D image, if an axis
            is shorter than 4 voxels (required by ITK's recursive Gaussians), or if the image is not finite or not
            channel first.

    The result is float32; a constant image has response 0. Deterministic. It takes about three seconds per scale for
    128^3.
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
        """Return the image with its response, or the response only."""
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
        itk = _itk()
        itk_image = itk.image_from_array(image)
        itk_image.SetSpacing(spacing_mm[::-1])  # ITK counts axes from the fastest one
        greatest = np.zeros_like(image)
        for sigma in self.sigmas:
            hessian = itk.hessian_recursive_gaussian_image_filter(itk_image, sigma=sigma, normalize_across_scale=True)
            gamma = self.gamma or 0.5 * _greatest_norm(np.asarray(itk.array_view_from_image(hessian)), image.ndim)
            if gamma > 1e-6 * float(np.abs(image).max()):  # otherwise the image is constant up to rounding
                greatest = np.maximum(greatest, self._objectness(hessian, gamma, image.ndim))
        return greatest

    def _objectness(self, hessian: Any, gamma: float, ndim: int) -> Response:
        itk = _itk()
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


def _itk() -> Any:
    """Import ITK when it is needed, since only this transform does; its stubs lack most of its functions."""
    return import_module("itk")


def _greatest_norm(hessian: Response, ndim: int) -> float:
    """Return the greatest Frobenius norm of `(*spatial, n)` Hessians, each its upper triangle, row by row."""
    times_in_matrix = np.array([1, 2, 1] if ndim == 2 else [1, 2, 2, 1, 2, 1])
    return float(np.sqrt((hessian**2 @ times_in_matrix).max()))


Vesselnessd = VesselnessD = VesselnessDict = DictionaryTransform.of(Vesselness)
