"""Pictures of the page, by section: a new one is a file with a function, and its name in this list."""

from collections.abc import Callable, Iterator

from aach_lightning.reports.material import Material
from aach_lightning.reports.panels.attackers import attacker_panels, damage_panels
from aach_lightning.reports.panels.axes import budget_panels, epsilon_panels
from aach_lightning.reports.panels.panel import Panel
from aach_lightning.reports.panels.runs import retrieval_panels, trace_panels

PANELS: dict[str, tuple[Callable[[Material], Iterator[Panel]], ...]] = {
    "results": (attacker_panels,),
    "axes": (budget_panels, epsilon_panels),
    "steps": (trace_panels,),
    "retrieval": (retrieval_panels,),
    "perceptibility": (damage_panels,),
}
