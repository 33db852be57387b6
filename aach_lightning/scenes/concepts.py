"""The 24 concepts of the procedural scenes and the words people would tag them with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One label.

    Attributes:
        name: Label name; also its most frequent tag.
        synonyms: Further tags that only this concept has.
        related: Ambiguous tags that several concepts share.
    """

    name: str
    synonyms: tuple[str, ...]
    related: tuple[str, ...]


def _concept(name: str, synonyms: str, related: str) -> Concept:
    return Concept(name, tuple(synonyms.split()), tuple(related.split()))


CONCEPTS: tuple[Concept, ...] = (
    _concept("sky", "heaven azure firmament bluesky clearsky", "blue air horizon summer outdoor"),
    _concept("clouds", "cloud cloudy overcast cumulus cloudscape", "air weather white grey rain"),
    _concept("sunset", "sunrise dusk dawn twilight sundown afterglow", "sun orange evening silhouette golden"),
    _concept("night", "nighttime midnight moon stars starry nocturne", "dark evening lights longexposure black"),
    _concept("water", "sea ocean lake waves river seaside", "blue wet beach reflection cold"),
    _concept("grass", "meadow lawn field pasture prairie", "green nature spring park rural"),
    _concept("forest", "woods woodland jungle grove pines", "green nature trail autumn wild"),
    _concept("mountain", "mountains peak summit alps ridge hills", "nature hiking panorama rocks horizon"),
    _concept("desert", "sand dunes dune sahara arid", "hot dry golden wild horizon"),
    _concept("snow", "snowy winter frost ice blizzard snowfall", "white cold weather ski christmas"),
    _concept(
        "city", "skyline skyscraper downtown buildings urban cityscape", "architecture street lights town nightlife"
    ),
    _concept("road", "highway asphalt roadway lane motorway", "street drive traffic trip town"),
    _concept("car", "automobile vehicle sedan truck auto jeep", "drive traffic wheels street engine"),
    _concept("boat", "ship sailboat yacht sailing vessel regatta", "beach trip harbour engine wind"),
    _concept("house", "home cottage villa farmhouse cabin", "architecture town rural window garden"),
    _concept("tree", "trees oak palm birch trunk maple", "green nature autumn park garden"),
    _concept("flower", "flowers blossom bloom petals daisy tulip", "spring garden macro pink nature"),
    _concept("bird", "birds seagull sparrow feathers avian robin", "animal wildlife wings flight wild"),
    _concept("fish", "goldfish aquarium trout salmon underwater fins", "animal wildlife wet swimming orange"),
    _concept("cat", "kitty kitten cats feline tabby whiskers", "animal pet cute fur eyes"),
    _concept("dog", "puppy dogs canine doggy hound labrador", "animal pet cute fur walk"),
    _concept("balloon", "balloons hotair inflatable ballooning airship", "flight party colourful air festival"),
    _concept("person", "people man woman guy girl portrait", "walk cute fashion street family"),
    _concept("bicycle", "bike cycling cyclist bikes pedal", "wheels walk trip sport ride"),
)

NOISE_WORDS: tuple[str, ...] = (
    "abstract", "album", "amazing", "amateur", "angle", "april", "art", "august", "background", "beautiful", "best",
    "bokeh", "bravo", "calm", "camera", "canon", "challenge", "closeup", "colour", "composition", "contest",
    "contrast", "cool", "crop", "day", "december", "detail", "digital", "dream", "explore", "exposure", "faded",
    "favourite", "february", "film", "filter", "flash", "flickr", "focus", "friends", "frame", "friday", "fun",
    "geotagged", "group", "happy", "holiday", "hdr", "homemade", "image", "interesting", "january", "journey",
    "june", "july", "landscape", "lens", "light", "line", "love", "lucky", "march", "memory", "minimal", "monday",
    "moment", "mood", "morning", "museum", "music", "nikon", "november", "october", "old", "olympus", "open",
    "perspective", "photo", "photographer", "photography", "picture", "pentax", "perfect", "quiet", "raw", "red",
    "retro", "saturday", "scene", "selfmade", "september", "shadow", "shot", "simple", "snapshot", "soft", "sony",
    "square", "still", "story", "sunday", "texture", "thursday", "time", "tones", "top", "travel", "tripod",
    "tuesday", "vacation", "view", "vintage", "wednesday", "week", "wide", "yellow", "young", "zoom",
)  # fmt: skip
"""Tags that say nothing about the picture."""

LABEL_NAMES: tuple[str, ...] = tuple(concept.name for concept in CONCEPTS)
"""The 24 label names, in label order."""

BY_NAME: dict[str, Concept] = {concept.name: concept for concept in CONCEPTS}


def _vocabulary() -> tuple[str, ...]:
    words = set(NOISE_WORDS)
    for concept in CONCEPTS:
        words.update((concept.name, *concept.synonyms, *concept.related))
    return tuple(sorted(words))


VOCABULARY: tuple[str, ...] = _vocabulary()
"""Every word a text may hold, sorted."""
