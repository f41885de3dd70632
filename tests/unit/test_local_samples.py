"""The samples and the texts that were written for them by hand."""

import json
import shutil
from pathlib import Path

import pytest

from describer.model.prompt import instructions_for
from describer.settings import Settings
from local.servers.bucket import SAMPLES, images_in
from local.servers.choice import choose_model
from local.standin.samples import BY_HAND, NOTE, profiles_for

IMAGES = images_in([SAMPLES])


@pytest.mark.parametrize("sample", IMAGES, ids=lambda path: path.name)
def test_each_sample_has_a_description(sample: Path) -> None:
    """One paragraph of plain sentences that begins with its subject, as the prompt asks."""
    text = sample.with_suffix(".txt").read_text(encoding="utf-8")
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert 2 <= text.count(". ") + 1 <= 5
    assert not text.startswith(("This ", "The image", "A photo", "An image"))


def test_there_is_no_text_without_its_sample() -> None:
    """A text that lost its image would never be said."""
    texts = {path.stem for path in SAMPLES.glob("*.txt")}
    assert texts == {path.stem for path in IMAGES}


def test_bytes_tell_a_sample_under_any_name(tmp_path: Path) -> None:
    """Its name may hold what patterns mean something by; another image of its name is no sample."""
    other, odd = tmp_path / "cat.webp", tmp_path / "[cat] *.webp"
    other.write_bytes(bytes((SAMPLES / "cat.webp").stat().st_size))
    shutil.copy(SAMPLES / "cat.webp", odd)
    model = choose_model({}).replaying({path.name: path for path in (other, odd)})
    settings = Settings.from_env(model.env("http://s/v1"))
    asked = {
        name: instructions_for(name, settings).model
        for name in ("cat.webp", "[cat] *.webp", "[cat] x.webp")
    }
    assert asked == {"cat.webp": "stand-in", "[cat] *.webp": BY_HAND, "[cat] x.webp": "stand-in"}


def test_only_the_stand_in_replays() -> None:
    """A real model is asked about a sample as about any image."""
    files = {path.name: path for path in IMAGES}
    assert len(json.loads(choose_model({}).replaying(files).profiles)) == len(IMAGES)
    assert profiles_for({"x": Path(__file__)}) == ""
    server = choose_model({"OPENAI_BASE_URL": "http://x/v1", "MODEL": "m"})
    assert server.replaying(files) == server


def test_the_readme_says_who_wrote_the_texts() -> None:
    """Nobody is to take them for a model's."""
    assert NOTE in (SAMPLES / "README.md").read_text(encoding="utf-8")
