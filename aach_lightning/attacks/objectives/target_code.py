"""DHTA's objective (Bai et al., ECCV 2020): towards the code that an item is sent to."""

from torch import Tensor

from aach_lightning.attacks.items import Bank, Items
from aach_lightning.attacks.objectives.objective import Loss


class TargetCode:
    """Lowers -h^.b / K, where b is the code that an attacker wants the item to have."""

    needs_labels = False
    needs_own = False

    def bind(self, items: Items, bank: Bank) -> Loss:
        """Remember the wanted codes; see `Objective`.

        Raises:
            ValueError: If there are none.
        """
        if items.goals is None:
            raise ValueError("this objective needs the codes that items shall have")
        goals = items.goals.float()

        def loss(hashed: Tensor, delta: Tensor) -> Tensor:
            return -(hashed * goals).mean(dim=1)

        return loss
