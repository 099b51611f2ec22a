"""Data: what counts as foreground in a label, synthetic membranes and vessels, data sets on disk, file formats."""

from monai_topo.data.datasets import load_datalist, write_synthetic_dataset
from monai_topo.data.labels import foreground_mask
from monai_topo.data.membranes import synthetic_membranes
from monai_topo.data.readers import FormatReader
from monai_topo.data.vessels import synthetic_vessels

__all__ = [
    "FormatReader",
    "foreground_mask",
    "load_datalist",
    "synthetic_membranes",
    "synthetic_vessels",
    "write_synthetic_dataset",
]
