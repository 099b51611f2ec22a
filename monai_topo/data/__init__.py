"""Labels, file formats, datalists, and synthetic membranes and vessels."""

from monai_topo.data.datalists import load_datalist
from monai_topo.data.labels import foreground_mask
from monai_topo.data.membranes import synthetic_membranes
from monai_topo.data.readers import FormatReader
from monai_topo.data.synthetic_datasets import write_synthetic_dataset
from monai_topo.data.vessels import synthetic_vessels

__all__ = [
    "FormatReader",
    "foreground_mask",
    "load_datalist",
    "synthetic_membranes",
    "synthetic_vessels",
    "write_synthetic_dataset",
]
