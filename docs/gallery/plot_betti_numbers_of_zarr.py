"""
Betti numbers of a volume in zarr
=================================

:py:mod:`monai_topo.masks.chunked` counts components, loops and cavities of a volume larger than memory, block by
block, and the result is exact.
"""

import tempfile

import dask.array as da
import matplotlib.pyplot as plt
import zarr

from monai_topo.masks.chunked import chunked_betti_numbers, chunked_component_sizes

# %%
# A small volume in place of yours: five vessels, two of them joined to a loop, one of them with a gap.

folder = tempfile.TemporaryDirectory()
path = f"{folder.name}/vessels.zarr"
volume = zarr.open_array(path, mode="w", shape=(32, 96, 128), chunks=(16, 48, 64), dtype="float32")
for row in (10, 30, 50, 70, 84):
    volume[12:18, row : row + 6, 8:120] = 0.9
volume[12:18, 10:36, 8:12] = volume[12:18, 10:36, 116:120] = 0.9  # joins the first two at both ends
volume[12:18, 50:56, 60:64] = 0.2  # a gap in the third

# %%
# The threshold is lazy: nothing is read before it is counted, and every block is read once.

mask = da.from_zarr(path) > 0.5
components, loops, cavities = chunked_betti_numbers(mask).tolist()
print(f"{components} components, {loops} loop, {cavities} cavities; sizes {chunked_component_sizes(mask).tolist()}")

# %%

figure, panel = plt.subplots(figsize=(6, 3.4), layout="constrained")
panel.imshow(volume[15], cmap="gray")
panel.set_title(f"one slice of {components} components and {loops} loop")
panel.set_axis_off()
plt.show()
folder.cleanup()
