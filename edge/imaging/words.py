"""Finds limb, side and view in free text, in the languages that hospitals write.

Layer: imaging; pure functions over strings. Text that names both sides, both limbs or several
views states nothing, because a list of what was ordered does not identify this film.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from edge.anatomy import LIMBS, Limb, View
from edge.model import Laterality

_TOKEN = re.compile(r"[^\W\d_]+")
_DOTTED_VIEW = re.compile(r"\b([apd])[./]\s?([apv])\b")


def fold(text: str) -> str:
    """Text without case and accents, so that every spelling of a word is one."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in spread if not unicodedata.combining(c))


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in fold(line).split())


# One line a language, roughly: English, German, French, Spanish, Italian, Portuguese, Dutch,
# Nordic, Slavic, and others.
_HAND = _words(
    "hand hands finger fingers thumb mcp",
    "wrist wrists carpus carpal metacarpal metacarpals metacarpus",
    "handgelenk handgelenke handwurzel poignet poignets muñeca muñecas polso polsi punho pols",
    "håndled nadgarstek zápěstí ranne handled csukló запястье запястья",
    "hände haende handskelett mittelhand handaufnahme fingerskelett daumen",
    "main mains doigt doigts pouce",
    "mano manos pulgar",
    "mani dito dita pollice",
    "mão mãos polegar",
    "handen vinger vingers duim",
    "hånd haand händer hender hænder käsi kädet",
    "ręka ręki dłoń dłonie ruka ruky ruce",
    "рука руки кисть кисти кистей kéz mâini",
)
_FOOT = _words(
    "foot feet forefoot toe toes hallux mtp",
    "ankle ankles metatarsal metatarsals metatarsus tarsus",
    "calcaneus calcaneum heel sprunggelenk knöchel fersenbein fusswurzel cheville chevilles talon",
    "tobillo tobillos caviglia caviglie tornozelo enkel ankel fotled nilkka kostka kotník",
    "fuß füße fuesse fußskelett vorfuß vorfüße vorfuesse mittelfuß zehe zehen",
    "pied pieds orteil orteils",
    "pie pies antepié",
    "piede piedi avampiede",
    "voet voeten voorvoet",
    "fot foten fötter føtter fod fødder jalka jalat",
    "stopa stopy noha nohy chodidlo",
    "стопа стопы нога ayak picior picioare",
)
_LEFT = _words(
    "left",
    "links linke linker linkes linken lks",
    "gauche",
    "izquierda izquierdo izq izda izdo",
    "sinistra sinistro sinister",
    "esquerda esquerdo",
    "linkerhand linkervoet",
    "venstre vänster vasen vasemman",
    "lewa lewy lewej levá levý levé ľavá ľavý",
    "левая левой левый stângă stâng",
)
_RIGHT = _words(
    "right",
    "rechts rechte rechter rechtes rechten",
    "droite droit",
    "derecha derecho dcha dcho",
    "destra destro dexter dextra",
    "direita direito",
    "rechterhand rechtervoet",
    "høyre højre höger oikea oikean",
    "prawa prawy prawej pravá pravý pravé",
    "правая правой правый dreaptă drept",
)
_WEAK_LEFT = frozenset({"l", "lt", "li", "lft"})
_WEAK_RIGHT = frozenset({"r", "rt", "re", "rgt"})
_FRENCH = frozenset({"main", "mains", "pied", "pieds", "mano", "pie"})
_LATIN = frozenset({"mano", "piede", "hand", "fot", "fod", "mao"})
_NORDIC = frozenset({"hand", "fot", "fod"})
_SX = frozenset({"sx", "esq"})
_DX = frozenset({"dx", "dex", "dir"})
_BOTH = _words(
    "both bilateral bilat",
    "beide beider beidseits beidseitig beids bds bsts",
    "deux ambas ambos bilaterales bilaterale ambedue entrambe bilateraal",
    "begge båda molemmat obie obu обеих",
)
_OBLIQUE = _words(
    "oblique obl norgaard ballcatcher ballcatchers",
    "schräg schraeg schräge zither zitherspieler",
    "oblicua oblicuo obliqua obliquo obliquus oblik",
    "skrå skratt viisto skośna skos šikmá косая косой",
)
_LATERAL = _words(
    "lateral lat mediolateral lateromedial",
    "seitlich seitl seitliche profil profile laterale lateralis latero",
    "zijdelings lateraal sidobild boczna boczne bočný oldalirányú боковая боковой",
)
_PA = frozenset({"pa", "posteroanterior", "dorsopalmar", "dorsovolar", "dv"})
_AP = frozenset({"ap", "anteroposterior", "palmodorsal", "volodorsal", "dorsoplantar"})
_FRONTAL_PAIRS = {
    ("postero", "anterior"): View.PA,
    ("antero", "posterior"): View.AP,
    ("dorso", "palmar"): View.PA,
    ("dorso", "plantar"): View.AP,
}


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(fold(text))


def limb_in(text: str) -> Limb | None:
    """Limb that a text names; None for none or both."""
    words = set(_tokens(text))
    hand = bool(words & _HAND) or "手" in text
    foot = bool(words & _FOOT) or "足" in text
    if hand == foot:
        return None
    return Limb.HAND if hand else Limb.FOOT


def side_in(text: str) -> Laterality | None:
    """Side that a text names; None for none or both.

    Whole words count anywhere. Short forms (``li``, ``re``, ``R``, ``dx``) count only beside a
    word for hand or foot, because alone they mean other things.
    """
    words = _tokens(text)
    if set(words) & _BOTH or "両" in text or "双" in text:
        return None
    left = any(word in _LEFT for word in words) or "左" in text
    right = any(word in _RIGHT for word in words) or "右" in text
    if not left and not right:
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
            beside = before in _HAND | _FOOT or after in _HAND | _FOOT
            left |= beside and word in _WEAK_LEFT
            right |= beside and word in _WEAK_RIGHT
            left |= (before in _FRENCH and word == "g") or (before in _LATIN and word in _SX)
            right |= (before in _FRENCH and word == "d") or (before in _LATIN and word in _DX)
            # In Spanish "sin" is "without".
            left |= before in _NORDIC and word == "sin"
    if left == right:
        return None
    return Laterality.LEFT if left else Laterality.RIGHT


def view_in(text: str, limb: Limb | None = None) -> View:
    """View that a text names; unknown for none or several.

    ``limb`` settles ``dp``: dorsopalmar is PA for a hand, dorsoplantar is AP for a foot.
    """
    words = _tokens(_DOTTED_VIEW.sub(r"\1\2", fold(text)))
    found = {
        view
        for view, names in (
            (View.OBLIQUE, _OBLIQUE),
            (View.LATERAL, _LATERAL),
            (View.PA, _PA),
            (View.AP, _AP),
        )
        if names & set(words)
    }
    found |= {v for p, v in _FRONTAL_PAIRS.items() if p in pairwise(words)}
    if "dp" in words and limb is not None:
        found.add(LIMBS[limb].frontal_view)
    return found.pop() if len(found) == 1 else View.UNKNOWN
