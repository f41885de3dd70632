r"""A refusal in prose is no description: told by how it begins, and by saying nothing else.

    "I'm sorry, but I can't help with that request."                         a refusal
    "I can't identify people, but a woman in red stands at a door."          a description
    Sorry, we are closed: a sign on the door of a shop.                     a description

In doubt it is a description: what is blocked by mistake is lost, what is shown by mistake is seen.
"""

from __future__ import annotations

import re

# Refusals are short. A longer text has told something.
MAX_REFUSAL_CHARACTERS = 400

_UNABLE = (
    r"(?:can(?:no|')t|can not|won't|will not|am unable to|'m unable to|am not able to"
    r"|'m not able to|am not going to|'m not going to|must|have to)"
)
_REFUSED = (
    r"(?:help(?: you)?(?: with\b| (?:describ|identify|to )|[.,!]|$)|assist|comply|fulfill?|decline"
    r"|(?:describ|provid|identify|process|discuss|engag|generat|creat|analy[sz]|continu|answer"
    r"|support|offer|access|interpret|recogni[sz]|comment|respond|do that|do this|view"
    r"|see (?:the|any|this) image)\w*)"
)
_AS_AN_AI = r"(?:as an ai(?: \w+){0,3}, )"
# One for each language: how a refusal begins, and the persons that each clause of it speaks of.
# Without accents, curly apostrophes and capitals, as `_folded` makes it.
_LANGUAGES: tuple[tuple[str, str], ...] = (
    (
        r"(?:(?:i'm |i am )?(?:very |so |really )?sorry|i apologi[sz]e|unfortunately)[,.;]? "
        rf"(?:but )?{_AS_AN_AI}?i ?{_UNABLE}\b"
        rf"|{_AS_AN_AI}?i ?{_UNABLE} (?:\w+ly )?{_REFUSED}|i don't feel comfortable",
        r"\b(?:i|i'm|i'd|i'll|me|my|you|your|you'd|sorry|please|let|request|polic\w+|guidelines)\b",
    ),
    (
        r"(?:es )?tut mir (?:sehr )?leid[,.;]? (?:aber )?"
        r"(?:ich kann|ich darf|dabei kann|das kann|diese)"
        r"|leider kann ich|ich kann (?:dabei|dir|ihnen|diese|dieses|bei dieser|das) .{0,40}nicht"
        r"|ich bin nicht in der lage",
        r"\b(?:ich|mir|mich|mein\w*|du|dir|dein\w*|sie|ihnen|ihre?\w*|bitte|leid)\b",
    ),
    (
        r"(?:je suis )?(?:vraiment )?desolee?[,.;]? (?:mais )?je ne (?:peux|suis)"
        r"|je ne peux pas (?:vous |t')?(?:aider|decrire|repondre)|je ne suis pas en mesure",
        r"(?:\b(?:je|me|moi|mon|ma|vous|votre|vos|tu|te)\b|\bj'|\bm'|\bdesole)",
    ),
    (
        r"lo siento[,.;]? (?:pero )?no (?:puedo|me es posible)"
        r"|no puedo (?:ayudar|describir|cumplir)|lamento (?:no poder|que no)",
        r"\b(?:siento|lamento|puedo|puedes|puede|podria|ayudar\w*|si|favor|me|te|le|gustaria)\b",
    ),
    (
        r"(?:mi dispiace|spiacente)[,.;]? (?:ma )?non posso|non posso (?:aiutar|descrivere)",
        r"\b(?:dispiace|spiacente|posso|puoi|puo|aiutar\w*|se|favore|mi|ti|le)\b",
    ),
    (
        r"(?:desculpe|sinto muito|lamento)[,.;]? (?:mas )?(?:eu )?nao posso"
        r"|nao posso (?:ajudar|descrever)",
        r"\b(?:desculpe|sinto|lamento|posso|pode|ajudar\w*|se|favor|eu|me|voce)\b",
    ),
    (
        r"(?:很|非常)?(?:抱歉|对不起|不好意思)[,，。]? ?(?:但)?我?(?:无法|不能|没办法)"
        r"|我(?:无法|不能)(?:帮助|描述|协助)",
        r"我|您|你|请|抱歉",
    ),
    (
        r"(?:大変)?(?:申し訳ありません|申し訳ございません|すみません|ごめんなさい)",
        r"ません|できま|ください|お手伝い|でしょうか",
    ),
)
_REFUSALS = tuple((re.compile(begins), re.compile(persons)) for begins, persons in _LANGUAGES)
# What a text may begin with that may still become a refusal; the shortest of each.
_OPENINGS = (
    "i'm sorry", "i am sorry", "i'm very", "i'm so sorry", "i'm really", "i'm unable", "i'm not",
    "i am unable", "i am not", "i can", "i won't", "i will not", "i must", "i have to", "i don't",
    "i apolog", "sorry", "unfortunately", "as an ai",
    "es tut mir", "tut mir", "leider", "ich kann", "ich bin nicht",
    "je suis", "desole", "je ne",
    "lo siento", "no puedo", "lamento",
    "mi dispiace", "spiacente", "non posso",
    "desculpe", "sinto muito", "nao posso",
    "很抱歉", "非常抱歉", "抱歉", "对不起", "不好意思", "我无法", "我不能",
    "申し訳", "大変申し訳", "すみません", "ごめんなさい",
)  # fmt: skip
_ACCENTS = str.maketrans("’‘`áàâãçéèêëíìîïóòôõúùûüñ", "'''aaaaceeeeiiiioooouuuun")
# A text that a picture shows may be quoted without marks.
_SHOWS = re.compile(
    r"\b(?:reads?|says?|written|printed|painted|lettering|caption\w*|poster|signs?|\w*shirts?"
    r"|mugs?|notes?)\b"
)
_CLAUSES = re.compile(r"[.!?:;\n。！？：；—]+|,? (?:but|however|aber|mais|pero|ma|mas) ")


def is_refusal(text: str) -> bool:
    """Tell whether a finished text refuses and does nothing else."""
    folded = _folded(text)
    if not 0 < len(folded) <= MAX_REFUSAL_CHARACTERS or _SHOWS.search(folded):
        return False
    return any(
        begins.match(folded) and all(map(persons.search, _clauses(folded)))
        for begins, persons in _REFUSALS
    )


def may_become_refusal(text: str) -> bool:
    """Tell whether what has come so far is to be held back, since it may end as a refusal."""
    folded = _folded(text)
    if len(folded) > MAX_REFUSAL_CHARACTERS:
        return False
    if not any(folded.startswith(o) or o.startswith(folded) for o in _OPENINGS):
        return False
    # The last clause may go on; one that is whole and speaks of no person is a description's.
    whole, _, _ = folded.rpartition(" ")
    clauses = _clauses(whole)[:-1]
    return any(all(map(persons.search, clauses)) for _, persons in _REFUSALS)


def _clauses(folded: str) -> list[str]:
    return [clause for clause in _CLAUSES.split(folded) if clause.strip(" ,")]


def _folded(text: str) -> str:
    return text.strip().lower().translate(_ACCENTS)
