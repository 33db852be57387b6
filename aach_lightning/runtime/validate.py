"""Rules between keys of the configuration, all checked at once, before anything runs."""

from math import inf
from pathlib import Path

from aach_lightning.runtime.choices import NormName
from aach_lightning.runtime.data_schemas import (
    ContainerConfig,
    FolderConfig,
    MirFlickrConfig,
    NusWideConfig,
    OriginalConfig,
    ScenesConfig,
    SentencesConfig,
)
from aach_lightning.runtime.encoders import encoder_mistake
from aach_lightning.runtime.errors import ConfigError
from aach_lightning.runtime.schemas import (
    GapMiningConfig,
    RandomMiningConfig,
    RankMiningConfig,
    RunConfig,
)
from aach_lightning.runtime.validate_split import split_mistakes

TARGETS = ("dcmh",)


def validate(config: RunConfig) -> None:
    """Check everything that can be known without reading data.

    Raises:
        ConfigError: Lists every mistake with its key, the value received and the values allowed.
    """
    mistakes: list[str] = []

    def need(holds: bool, key: str, value: object, allowed: str) -> None:
        if not holds:
            mistakes.append(f"{key}={value}: {allowed}")

    def positive(**values: float) -> None:
        for key, value in values.items():
            need(0 < value < inf, key.replace("__", "."), value, "must be greater than 0 and finite")

    def share(**values: float) -> None:
        for key, value in values.items():
            need(0 < value <= 1, key.replace("__", "."), value, "must lie in (0, 1]")

    def not_negative(**values: float) -> None:
        for key, value in values.items():
            need(0 <= value < inf, key.replace("__", "."), value, "must be at least 0 and finite")

    data, target, surrogate, attack, mining = config.data, config.target, config.surrogate, config.attack, config.mining
    need(data.image_size >= 16, "data.image_size", data.image_size, "must be at least 16 pixels")
    if isinstance(data, ScenesConfig):
        positive(data__pairs=data.pairs)
    if isinstance(data, FolderConfig):
        need(
            (Path(data.root) / "pairs.csv").is_file(),
            "data.root",
            data.root,
            "must be an existing folder with a pairs.csv (id,image,text,labels)",
        )
    if isinstance(data, OriginalConfig):
        need(Path(data.root).is_dir(), "data.root", data.root, "must be the folder in which the archives were unpacked")
    if isinstance(data, ContainerConfig):
        need(Path(data.path).exists(), "data.path", data.path, "must be an existing file, or a folder with the files")
        need(
            data.images is None or Path(data.images).is_dir(),
            "data.images",
            data.images,
            "must be the existing folder of the images that the pack lists, or null",
        )
    if isinstance(data, MirFlickrConfig):
        positive(data__tag_images=data.tag_images)
    if isinstance(data, NusWideConfig):
        need(1 <= data.labels <= 81, "data.labels", data.labels, "must lie in 1 to 81")
    if isinstance(data, SentencesConfig):
        positive(data__words=data.words)
        need(
            data.vocabulary is None or Path(data.vocabulary).is_file(),
            "data.vocabulary",
            data.vocabulary,
            "must be an existing text file with one word a line, or null",
        )
        if data.encoder is not None:
            mistake = encoder_mistake(data.encoder)
            need(mistake is None, "data.encoder", data.encoder, mistake or "")
            need(data.vocabulary is None, "data.vocabulary", data.vocabulary, "must be null beside data.encoder")
    mistakes.extend(split_mistakes(config))
    need(target.name in TARGETS, "target.name", target.name, f"must be one of {', '.join(TARGETS)}")
    need(1 <= target.code_length <= 1024, "target.code_length", target.code_length, "must lie in 1 to 1024 bits")
    positive(
        target__image_lr=target.image_lr,
        target__text_lr=target.text_lr,
        target__batch_size=target.batch_size,
        target__epochs=target.epochs,
        target__validation=target.validation,
    )
    not_negative(target__gamma=target.gamma, target__eta=target.eta)
    positive(budget__pairs=config.budget.pairs)
    if isinstance(mining, GapMiningConfig):
        allowed = f"must lie in 1 to target.code_length={target.code_length} bits"
        need(1 <= mining.gap <= target.code_length, "mining.gap", mining.gap, allowed)
    if isinstance(mining, RankMiningConfig):
        share(mining__nearest=mining.nearest, mining__farthest=mining.farthest)
        both = mining.nearest + mining.farthest
        need(both <= 1, "mining.nearest + mining.farthest", both, "the two shares of the ranking may not overlap")
    if isinstance(mining, RankMiningConfig | RandomMiningConfig):
        positive(mining__per_anchor=mining.per_anchor)
    positive(
        surrogate__image_lr=surrogate.image_lr,
        surrogate__backbone_lr=surrogate.backbone_lr,
        surrogate__text_lr=surrogate.text_lr,
        surrogate__batch_size=surrogate.batch_size,
        surrogate__epochs=surrogate.epochs,
    )
    not_negative(
        surrogate__margin=surrogate.margin,
        surrogate__triplet_weight=surrogate.triplet_weight,
        surrogate__quantisation_weight=surrogate.quantisation_weight,
        surrogate__weight_decay=surrogate.weight_decay,
        surrogate__augmentation__noise=surrogate.augmentation.noise,
    )
    weights = surrogate.triplet_weight + surrogate.quantisation_weight
    need(weights > 0, "surrogate.triplet_weight + surrogate.quantisation_weight", weights, "nothing would be learned")
    zoom = surrogate.augmentation.zoom
    need(0 <= zoom < 1, "surrogate.augmentation.zoom", zoom, "must lie in [0, 1)")
    for key, encoder in (
        ("target.image_net", target.image_net),
        ("target.text_net", target.text_net),
        ("surrogate.image_net", surrogate.image_net),
        ("surrogate.text_net", surrogate.text_net),
    ):
        need(0 <= encoder.dropout < 1, f"{key}.dropout", encoder.dropout, "must lie in [0, 1)")
        not_negative(**{f"{key.replace('.', '__')}__hidden": encoder.hidden})
    need(0 < attack.epsilon < inf, "attack.epsilon", attack.epsilon, "must be greater than 0, in units of 1/255")
    need(
        attack.norm is not NormName.linf or attack.epsilon % 1 == 0 or attack.epsilon == inf,
        "attack.epsilon",
        attack.epsilon,
        "must be a whole number of 1/255 under linf: the target is shown 8-bit images, which would break a fraction",
    )
    positive(attack__text_epsilon=attack.text_epsilon)
    positive(attack__steps=attack.steps, attack__step_size=attack.step_size, attack__batch_size=attack.batch_size)
    not_negative(attack__momentum=attack.momentum, attack__margin=attack.margin)
    not_negative(attack__quantisation_weight=attack.quantisation_weight)
    share(attack__positives=attack.positives, attack__negatives=attack.negatives)
    both = attack.positives + attack.negatives
    need(both <= 1, "attack.positives + attack.negatives", both, "the two shares of the ranking may not overlap")
    diversity = attack.diversity
    need(0 <= diversity.probability <= 1, "attack.diversity.probability", diversity.probability, "must lie in [0, 1]")
    share(attack__diversity__smallest=diversity.smallest)
    evaluation = config.evaluation
    positive(evaluation__queries=evaluation.queries, evaluation__picture_rows=evaluation.picture_rows)
    not_negative(evaluation__held_out=evaluation.held_out)
    positive(trainer__devices=config.trainer.devices, trainer__num_nodes=config.trainer.num_nodes)
    if mistakes:
        raise ConfigError("the configuration has mistakes:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))
