import pytest
import torch
from torch import Tensor, nn

from aach_lightning.config.method import DCMHConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.perturbations.descent import PGD
from aach_lightning.perturbations.space import Space
from aach_lightning.targets.hardening_module import FineTuningModule, PGDModule
from aach_lightning.targets.method import Schedule, TrainPart

BITS = 8
ROWS = [31, 4, 17, 2, 40, 8]
PERTURB = {
    Modality.image: PGD(Space(16 / 255, "linf", 0.0, 1.0), 3, 6 / 255),
    Modality.text: PGD(Space(0.2, "linf", 0.0, 1.0), 3, 0.08),
}


class Normalised(nn.Module):
    """A backbone with batch normalisation."""

    width = 12

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 12, 5, stride=4), nn.BatchNorm2d(12), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers(images)
        return maps.mean(dim=(2, 3))


def network(backbone: nn.Module, dropout: float = 0.0) -> HashingNetwork:
    image = Encoder(backbone, HashHead(int(backbone.width), BITS, dropout=dropout))  # type: ignore[arg-type]
    return HashingNetwork(image, Encoder(TextMLP(16, width=32), HashHead(32, BITS, dropout=dropout)), BITS)


def wrap(hashing: HashingNetwork, pairs: Pairs, pgd: bool = True, seed: int = 0) -> FineTuningModule:
    batch, none = pairs.batch(ROWS), torch.empty(len(ROWS), 0)
    part = TrainPart(batch.ids, batch.labels, none, none)
    arguments = (hashing, part, Schedule(1e-3, 1e-3, 4), DCMHConfig(gamma=0.7, eta=0.2))
    module = PGDModule(*arguments, perturb=PERTURB, seed=seed) if pgd else FineTuningModule(*arguments)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.train()
    return module


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_batch_normalisation_keeps_its_statistics_and_learns_its_weights(toy_pairs: Pairs) -> None:
    module = wrap(network(Normalised(), dropout=0.5), toy_pairs)
    normalisation = module.network.image.backbone.layers[1]  # type: ignore[union-attr, index]
    before = {name: value.clone() for name, value in normalisation.state_dict().items()}
    optimizer = module.configure_optimizers()["optimizer"]  # type: ignore[index]
    module.training_step(toy_pairs.batch([17, 31, 8]), 0).backward()
    optimizer.step()
    after = normalisation.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"weight", "bias"}
    assert not normalisation.training
    dropouts = [m for m in module.network.modules() if isinstance(m, nn.Dropout)]
    assert len(dropouts) > 1
    assert all(dropout.training for dropout in dropouts)
    assert not any(m.training for m in module.eval().modules())


def test_a_step_is_the_mean_of_both_losses_and_remembers_clean_codes(toy_pairs: Pairs) -> None:
    module = wrap(network(SmallCNN(image_size=32, width=32)), toy_pairs)
    plain = wrap(module.network, toy_pairs, pgd=False)
    batch = toy_pairs.batch([17, 31, 8])
    seen: list[tuple[Tensor, Tensor]] = []
    original = module._adversarial
    module._adversarial = lambda *arguments: (seen.append(original(*arguments)), seen[-1])[1]  # type: ignore
    loss = module.training_step(batch, 0)
    clean = plain.training_step(batch, 0)
    images, texts = seen[0]
    changed = plain.loss(*module.network(images, texts), batch)
    assert loss.item() == pytest.approx((clean.item() + changed.item()) / 2, rel=1e-6)
    assert abs(changed.item() - clean.item()) > 0.01
    assert torch.equal(module.image_memory, plain.image_memory)
    assert torch.equal(module.text_memory, plain.text_memory)
    assert bool(module.image_memory.any())


def test_adversarial_pairs_leave_their_codes_within_epsilon(toy_pairs: Pairs) -> None:
    module = wrap(network(SmallCNN(image_size=32, width=32), dropout=0.5), toy_pairs)
    batch = toy_pairs.batch([17, 31, 8, 40])
    images, texts = module._adversarial(batch, 0)  # type: ignore[operator]
    assert float((images - batch.images).abs().max()) <= 16 / 255 + 1e-6
    assert float((texts - batch.texts).abs().max()) <= 0.2 + 1e-6
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert module.network.training
    with torch.no_grad():
        clean, changed = module.eval().network(batch.images, batch.texts), module.network(images, texts)
    for before, after in zip(clean, changed, strict=True):
        signs = torch.where(before >= 0, 1.0, -1.0)
        assert bool(((after * signs).sum(dim=1) < (before * signs).sum(dim=1)).all())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_starts_are_drawn_from_seed_epoch_and_batch(toy_pairs: Pairs) -> None:
    hashing, batch = network(SmallCNN(image_size=32, width=32)), toy_pairs.batch([17, 31])
    module = wrap(hashing, toy_pairs)
    first = module._adversarial(batch, 0)  # type: ignore[operator]
    torch.manual_seed(77)
    assert all(map(torch.equal, first, module._adversarial(batch, 0)))  # type: ignore[operator]
    assert not torch.equal(first[0], module._adversarial(batch, 1)[0])  # type: ignore[operator]
    assert not torch.equal(first[0], wrap(hashing, toy_pairs, seed=1)._adversarial(batch, 0)[0])  # type: ignore[operator]
