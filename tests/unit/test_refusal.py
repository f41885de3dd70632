"""A refusal in prose is told from a description, and is not shown while it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from describer.errors import BlockedError
from describer.images.image import Image
from describer.model.description import Description, describe
from describer.model.prompt import instructions_for
from describer.model.refusal import MAX_REFUSAL_CHARACTERS, is_refusal, may_become_refusal
from describer.model.scripted import ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.settings import Settings
from describer.values import Usage
from tests import virtual

REFUSALS = [
    "I'm sorry, but I can't help with that request.",
    "I’m sorry, I can’t assist with that.",
    "I'm sorry. I cannot describe this image. If you have another one, please share it!",
    "Sorry, but I can't provide a description of this image.",
    "I can't help with identifying people in images.",
    "I cannot identify the person in this image, but I can help you with other questions.",
    "I'm unable to assist with this request. It goes against my guidelines.",
    "I am not able to process this image: it violates the content policy.",
    "Unfortunately, I can't view this image.",
    "As an AI language model, I cannot describe people.",
    "I apologize, but I'm not able to describe this picture.",
    "I won't describe this content.",
    "I must decline this request.",
    "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "Tut mir leid, ich kann dieses Bild nicht beschreiben. Bitte versuchen Sie ein anderes.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "很抱歉，我无法描述这张图片。",
    "申し訳ありませんが、この画像を説明することはできません。",
]
DESCRIPTIONS = [
    "A tabby cat looks up from a windowsill.",
    "I cannot identify the person, but a woman in a red coat stands at a door.",
    "I'm sorry, I can't tell who this is. A man in a blue suit shakes hands with a child.",
    "I can't help with names: two children play on a beach.",
    "\"I'm sorry, I can't come in today,\" reads a handwritten note on a door.",
    "I'm sorry, I can't come in today is written on a note taped to a door.",
    "I can't help falling in love is printed in white on a black mug.",
    "I can't keep calm, I'm a nurse, in white capitals on red.",
    "I can see a dog. It sleeps on a sofa.",
    "Sorry, we are closed: a sign on the door of a shop, with a bell beside it.",
    "Sorry is a board game; its box lies on a table, with four red pawns.",
    "Unfortunately cropped, the photo shows the lower half of a bicycle.",
    "Es tut mir leid steht in roter Farbe an einer Wand; davor parkt ein Fahrrad.",
    "Leider unscharf: ein Hund läuft über eine Wiese.",
    "抱歉，打烊了：商店门上的一块木牌。",
    "I'm sorry, I can't help with that. " + "A boy looks at the sea. " * 20,
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_told(text: str) -> None:
    """It begins like one, is short, and speaks of nobody but who asks and who answers."""
    assert is_refusal(text)


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_is_no_refusal(text: str) -> None:
    """Nor is a text in the picture, or one that refuses a part and tells the rest."""
    assert not is_refusal(text)


@pytest.mark.parametrize("text", REFUSALS)
def test_nothing_of_a_refusal_is_shown(text: str) -> None:
    """However little of it has come."""
    for end in range(len(text) + 1):
        assert may_become_refusal(text[:end]), text[:end]


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_is_shown_once_it_cannot_be_a_refusal(text: str) -> None:
    """And is not taken back afterwards."""
    held = [may_become_refusal(text[:end]) for end in range(1, len(text) + 1)]
    assert held == sorted(held, reverse=True)


def test_a_usual_description_is_not_held_at_all() -> None:
    """One that begins with its subject is shown from its second word."""
    assert not may_become_refusal("A tabby")
    assert not may_become_refusal("Two ")


@given(st.text(max_size=MAX_REFUSAL_CHARACTERS * 2))
def test_no_text_is_both_shown_and_refused(text: str) -> None:
    """What is a refusal in the end was held back as a whole."""
    assert may_become_refusal(text) or not is_refusal(text)


@pytest.mark.parametrize(
    "text", [REFUSALS[0], f"{DESCRIPTIONS[2]} A dog waits."], ids=["refusal", "description"]
)
@pytest.mark.parametrize("thought", ["", "<think>Who is it?</think>"], ids=["", "after thinking"])
def test_a_stream_that_refuses_is_blocked_and_never_seen(text: str, thought: str) -> None:
    """What it cost is kept; a text that only begins like one is described."""
    seen: list[str] = []
    script = text_script(thought + text, size=5)
    script.steps = [*script.steps, Chunk(usage=Usage(9, 9, 18))]

    async def work() -> Description:
        return await describe(
            ScriptedModel([script]),
            instructions_for("a.jpg", Settings()),
            Image("image/jpeg", 1, uri="gs://b/a.jpg"),
            on_text=lambda gathered: seen.append(gathered.text),
        )

    if text not in REFUSALS:
        assert virtual.run(work()).text == text
        assert seen
        return
    with pytest.raises(BlockedError, match="refused: I'm sorry, but") as caught:
        virtual.run(work())
    assert seen == []
    assert (caught.value.finish_reason, caught.value.usage) == ("stop", Usage(9, 9, 18))
