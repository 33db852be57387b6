from pathlib import Path

import numpy as np

from aach_lightning.scenes import NOTE, Scenes
from aach_lightning.scenes.procedural import procedural_pairs


def test_pairs_are_the_scenes(tmp_path: Path) -> None:
    pairs = procedural_pairs(name="s", pairs=6, image_size=24, seed=5, cache=str(tmp_path))
    scenes = Scenes(24, 5)
    assert len(pairs) == 6
    assert (pairs.words, pairs.label_names, pairs.note) == (scenes.words, scenes.label_names, NOTE)
    for row in range(6):
        picture = np.moveaxis(pairs.images[row], 0, -1)
        np.testing.assert_array_equal(picture, scenes.draw(row))
        np.testing.assert_array_equal(pairs.labels[row], scenes.labels(row))
        words = {word for word, present in zip(pairs.words, pairs.texts[row], strict=True) if present}
        assert words == set(scenes.tags(row))
        assert pairs.captions[row].split() == [part for tag in scenes.tags(row) for part in tag.split()]
    assert set(np.unique(pairs.texts)) == {0, 1}


def test_pairs_do_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few = procedural_pairs(name="s", pairs=3, image_size=24, seed=5, cache=str(tmp_path))
    more = procedural_pairs(name="s", pairs=5, image_size=24, seed=5, cache=str(tmp_path))
    np.testing.assert_array_equal(few.images, more.images[:3])
    np.testing.assert_array_equal(few.texts, more.texts[:3])
    assert few.names == more.names[:3]


def test_fingerprints_tell_data_apart(tmp_path: Path) -> None:
    def fingerprint(pairs: int = 3, image_size: int = 24, seed: int = 5) -> str:
        made = procedural_pairs(name="s", pairs=pairs, image_size=image_size, seed=seed, cache=str(tmp_path))
        return made.fingerprint

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint(pairs=4), fingerprint(image_size=16), fingerprint(seed=6)}) == 4
