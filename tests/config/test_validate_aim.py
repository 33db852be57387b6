from collections.abc import Callable
from pathlib import Path

import pytest

from aach_lightning.config import encoders
from aach_lightning.config.choices import Modalities
from aach_lightning.config.data import FolderConfig
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.validate import validate
from aach_lightning.errors import ConfigError

Compose = Callable[..., RunConfig]


@pytest.mark.parametrize(
    "overrides",
    [
        ("attack=aach_edits",),
        ("attack=dhta", "attack.target_label=x"),
        ("attack=dhta", "attack.target_item=x", "attack.text_form=edits"),
        ("attack=dhta", "attack.source=target", "surrogate.quantisation=sign"),
        ("attack=universal",),
        ("attack=universal", "attack.text_form=edits", "attack.modality=image"),
        ("attack=universal", "attack/objective=target_code", "attack.target_label=x"),
    ],
)
def test_what_goes_together(compose_toy: Compose, overrides: tuple[str, ...]) -> None:
    compose_toy(*overrides)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("attack.edits=0",), "attack.edits=0: must be greater than 0"),
        (("attack.edit_candidates=-1",), "attack.edit_candidates=-1: must be greater than 0"),
        (("attack.target_label=x",), "attack.target_label=x: needs attack/objective=target_code"),
        (("attack.target_item=x",), "attack.target_item=x: needs attack/objective=target_code"),
        (
            ("attack=dhta", "attack.target_label=x", "attack.target_item=y"),
            "attack.target_label, attack.target_item=x, y: one of the two must be null",
        ),
        (
            ("attack=dhta", "surrogate.quantisation=sign"),
            "surrogate.quantisation, surrogate.quantisation_weight=sign, 10.0: must be code and greater than 0",
        ),
        (
            ("attack=dhta", "surrogate.quantisation_weight=0"),
            "surrogate.quantisation, surrogate.quantisation_weight=code, 0.0: must be code and greater than 0",
        ),
        (
            ("attack=dhta", "attack.query_anchor=true"),
            "attack.query_anchor=True: must be false under attack/objective=target_code",
        ),
        (("attack=square", "attack.text_form=edits"), "attack.text_form=edits: needs attack.source=surrogate"),
        (
            ("attack=square", "attack/objective=target_code"),
            "attack.objective=TargetCode: needs attack.source=surrogate",
        ),
        (
            ("attack=square", "attack.universal=true", "attack/step=adam"),
            "attack.universal=True: needs attack.source=surrogate",
        ),
        (("attack.universal=true",), "attack.universal=True: needs attack/step=adam"),
        (("attack=universal", "attack.gradient.scales=2"), "attack.universal=True: needs attack.gradient.scales=1"),
        (("attack=universal", "attack.query_anchor=true"), "attack.universal=True: needs attack.query_anchor=false"),
        (("attack=universal", "attack.random_start=true"), "attack.universal=True: needs attack.random_start=false"),
        (("attack=universal", "attack.text_form=edits"), "attack.universal=True: needs attack.text_form=continuous"),
        (
            ("attack=universal", "attack/objective=target_code"),
            "attack.universal=True: needs attack.target_label or attack.target_item",
        ),
    ],
)
def test_what_does_not(compose_toy: Compose, overrides: tuple[str, ...], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_toy(*overrides)
    (found,) = str(caught.value).splitlines()[1:]
    assert found.startswith(f"  - {line}")


def test_embeddings_have_no_words(compose_toy: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: object())
    (tmp_path / "pairs.csv").write_text("id,image,text,labels\n")
    config = compose_toy("attack=aach_edits")
    config.data = FolderConfig(name="x", image_size=32, root=str(tmp_path), words=10)
    validate(config)
    config.data.encoder = "minilm"
    with pytest.raises(ConfigError, match=r"attack.text_form=edits: must be continuous .*data.encoder=minilm"):
        validate(config)
    config.attack.modality = Modalities.image
    validate(config)
