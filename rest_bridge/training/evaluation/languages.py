"""Sentences in many languages, spoken by espeak-ng, that no training text contains.

Place in the flow: here -> `lips`. espeak-ng tells its phones' times, so that the mouth they ask for
is known; the ruler is a rule table, so this shows that the sound of a language is understood, not
how its speakers really move (STUDY-AUDIO section 5). All voices are held out; Dutch and Finnish are
held out as languages, the others training heard with other voices and other sentences.
"""

from typing import Final

import numpy as np
import soxr

from rest_bridge.training.evaluation.held_out import HeldOut, from_visemes
from rest_bridge.training.phonemes import EspeakVoice
from rest_bridge.training.splits import HELD_OUT_VARIANTS
from rest_bridge.training.visemes import to_visemes
from rest_bridge.types import MODEL_RATE_HZ, VOICE_RATE_HZ

ENGLISH: Final = "English"
_LEVEL: Final = 0.06

SENTENCES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "English": ("en-us", (
        "Tomorrow we shall meet your brother below the old bridge.",
        "Fresh coffee, warm bread and a bowl of soup, please.",
        "How many people believe what this map appears to prove?",
    )),
    "German": ("de", (
        "Am Bahnhof wartet seit einer halben Stunde unser Besuch.",
        "Frische Milch, Pfeffer und fünf Äpfel, bitte.",
        "Möchtest du lieber am Fluss oder im Wald spazieren?",
    )),
    "French": ("fr", (
        "Demain matin, mon frère prendra le bateau pour la Bretagne.",
        "Un bol de soupe chaude et un peu de fromage, s'il vous plaît.",
        "Qui a bien pu fermer la porte du bureau ?",
    )),
    "Spanish": ("es", (
        "Mañana mi primo viaja a Bilbao para ver un partido.",
        "Un plato de sopa y un vaso de leche, por favor.",
        "¿Por qué no me avisaste antes de salir del pueblo?",
    )),
    "Italian": ("it", (
        "Domani mia madre prepara una buona zuppa di fagioli.",
        "Il vecchio ponte fu aperto dopo molti mesi di lavoro.",
        "Vuoi provare questo formaggio o preferisci la frutta?",
    )),
    "Russian": ("ru", (
        "Завтра мой брат поедет на поезде в большой город.",
        "Мама купила молоко, хлеб и пять яблок.",
        "Почему ты вчера не позвонил бабушке?",
    )),
    "Mandarin": ("cmn-latn-pinyin", (
        "ming2 tian1 wo3 men5 yi4 qi3 qu4 bei3 jing1",
        "qing3 gei3 wo3 yi4 bei1 cha2 he2 yi1 ge5 ping2 guo3",
        "ni3 wei4 shen2 me5 mei2 you3 da3 dian4 hua4",
    )),
    "Japanese": ("ja", (
        "あした ともだち と うみ へ いきます。",
        "あたたかい おちゃ を いっぱい ください。",
        "どうして きのう でんわ しなかった の ですか。",
    )),
    "Hindi": ("hi", (
        "कल मेरा भाई बड़े शहर जाएगा।",
        "मुझे एक प्याला चाय और पानी चाहिए।",
        "आपने मुझे पहले क्यों नहीं बताया?",
    )),
    "Dutch (held out)": ("nl", (
        "Morgen gaat mijn broer met de boot naar het eiland.",
        "Een kop soep en een boterham met kaas, alstublieft.",
        "Waarom heb je gisteren de deur open laten staan?",
    )),
    "Finnish (held out)": ("fi", (
        "Huomenna veljeni matkustaa junalla pohjoiseen.",
        "Saisinko kupin kahvia ja palan leipää?",
        "Miksi et avannut ikkunaa eilen illalla?",
    )),
}  # fmt: skip


def language_clips(language: str, count: int) -> list[HeldOut]:
    """Speak some sentences of one language.

    Args:
        language: a name of `SENTENCES`.
        count: at most as many as there are.

    Returns:
        Clips with half a second of silence around the speech.
    """
    voice_name, sentences = SENTENCES[language]
    clips: list[HeldOut] = []
    espeak = EspeakVoice()
    for number, text in enumerate(sentences[:count]):
        variant = HELD_OUT_VARIANTS[number % len(HELD_OUT_VARIANTS)]
        samples, phones = espeak.speak(
            text, language=f"{voice_name}+{variant}", words_per_minute=160
        )
        level = _LEVEL / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
        voice = soxr.resample(samples * np.float32(level), MODEL_RATE_HZ, VOICE_RATE_HZ)
        clips.append(
            from_visemes(
                f"espeak {language} {number}", f"language: {language}",
                voice.astype(np.float32), to_visemes(phones, "ipa"),
            )
        )  # fmt: skip
    espeak.close()
    return clips
