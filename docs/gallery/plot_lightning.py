"""
Train with PyTorch Lightning
============================

The loss is a module, so a ``LightningModule`` needs a few lines for it: the weight of the topology term is 0 until the
pixel loss has become small (*warm-up*), and the parts of the loss are recorded. :doc:`/lightning` has a whole script,
with validation, checkpoints and several GPUs. (``pip install "lightning>=2.4"``)
"""

import lightning
import matplotlib.pyplot as plt
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from monai_topo import PersistenceLoss, TopologyAwareLoss, betti_numbers
from monai_topo.data import synthetic_vessels

WARM_UP = 15


class Segmentation(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = UNet(2, 1, 1, channels=(8, 16, 32), strides=(2, 2), norm="INSTANCE")
        topology = PersistenceLoss(sigmoid=True, matching="spatial", border="foreground", patch_size=32, support=0.2)
        self.loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), topology, weight=0.0)
        self.parts = []

    def on_train_epoch_start(self):
        self.loss.set_weight(0.3 if self.current_epoch >= WARM_UP else 0.0)

    def training_step(self, batch, batch_index):
        image, label = batch
        value = self.loss(self.network(image), label)
        self.parts.append({name: float(part) for name, part in self.loss.last_components.items()})
        return value

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=4e-3)


# %%
# Eight images of broken vessels, in two batches, stand for your data. A ninth one is kept for the picture at the end.


def case(seed):
    arrays = synthetic_vessels((96, 128), seed=seed, num_trees=1, num_branches=7, gaps=0.12, noise=0.06)
    return [torch.from_numpy(array)[None].float() for array in arrays]


lightning.seed_everything(0)
model = Segmentation()
trainer = lightning.Trainer(
    max_epochs=30,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, torch.utils.data.DataLoader([case(seed) for seed in range(8)], batch_size=4))

# %%
# The parts of the loss in each step, and the result with its numbers of components and loops:

image, label = case(8)
model.eval()
with torch.no_grad():
    mask = model.network(image[None])[0] > 0
figure, panels = plt.subplots(1, 4, figsize=(13, 2.8), layout="constrained", width_ratios=(1.4, 1, 1, 1))
for name in ("base", "topology"):
    panels[0].plot([step.get(name, float("nan")) for step in model.parts], label=name)
panels[0].axvline(2 * WARM_UP, color="gray", linestyle=":")
panels[0].set(xlabel="step", ylabel="loss", yscale="log")
panels[0].legend()
for panel, (name, picture) in zip(panels[1:], {"image": image, "mask": mask, "label": label > 0}.items(), strict=True):
    panel.imshow(picture[0].numpy(), cmap="gray")
    counts = "" if name == "image" else " {}, {}".format(*betti_numbers(picture)[0].tolist())
    panel.set_title(name + counts)
    panel.set_axis_off()
plt.show()
