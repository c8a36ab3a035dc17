"""An atlas as a third site of the crawl: territories, currencies, languages and scripts, by Unicode's Common Locale Data Repository.

The data come with Babel, which the HTML extractor brings along; without it there is no atlas. They are read through Babel itself, because
its files are pickles. Pages speak of each other: a territory of its languages and its money, a currency of where it was paid with and
when. 800 pages take half a CPU second. Not covered: capitals, borders, anything that the repository does not have.
"""

import html
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from datapipe.readers import licenses
from datapipe.sample.environment import LICENSE_FILE, Package, normalised, read_text, stable_rank
from datapipe.sample.index_pages import slug
from datapipe.sample.site_pages import reference_page
from datapipe.sample.warc import RECORD_OVERHEAD_BYTES, Capture

ATLAS = "https://atlas.example/"
DATA = "babel/locale-data/"
MIN_PERCENT = 2.0  # of the people of a territory: a language that fewer speak is not told of there
MAX_TOLD = 12
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SIGNS = {",": "comma", ".": "full stop", "٫": "Arabic decimal separator"}
_DIRECTIONS = {"ltr": "left to right", "rtl": "right to left"}

Facts = dict[str, list[str]]  # name -> values as HTML


class Tender(NamedTuple):
    """A currency in a territory, from when to when; None for what is not told, or not over."""

    territory: str
    currency: str
    begin: date | None
    end: date | None


def atlas_captures(packages: Sequence[Package], *, max_bytes: int) -> Iterator[Capture]:
    """The pages of the atlas, up to `max_bytes`, in stable pseudo-random order; none where Babel is not installed."""
    babel = next((package for package in packages if normalised(package.name) == "babel"), None)
    if babel is None or importlib.util.find_spec("babel") is None:
        return
    license = data_license(babel)
    size_bytes = 0
    for capture in sorted(_Atlas().captures(license), key=lambda capture: stable_rank(capture.uri)):
        size_bytes += len(capture.body) + RECORD_OVERHEAD_BYTES
        if size_bytes > max_bytes:
            return
        yield capture


def data_license(babel: Package) -> str | None:
    """The licence that lies beside the data, which is not that of the code; without one, the distribution's."""
    files = {name: path for name, path in babel.files if name.startswith(DATA) and LICENSE_FILE.match(path.name)}
    found = licenses.of_files({name: read_text(path) or "" for name, path in files.items()})
    return found.spdx if found else babel.license


class _Atlas:
    def __init__(self) -> None:
        from babel import Locale, localedata
        from babel.core import get_global

        self.english = Locale("en")
        self._locale, self._has_data = Locale, localedata.exists
        self._scripts: Mapping[str, str] = get_global("likely_subtags")
        self._zones: Mapping[str, Sequence[str]] = get_global("territory_zones")
        self._digits: Mapping[str, Sequence[int]] = get_global("currency_fractions")
        spoken: Mapping[str, Any] = get_global("territory_languages")
        self.names: Mapping[str, str] = self.english.territories
        self.spoken = {  # territory -> language -> (percent, whether it is official)
            territory: {
                language: (float(about["population_percent"]), bool(about["official_status"]))
                for language, about in sorted(languages.items(), key=lambda item: -item[1]["population_percent"])
                if language in self.english.languages
                and (about["population_percent"] >= MIN_PERCENT or about["official_status"])
            }
            for territory, languages in sorted(spoken.items())
            if territory in self.names
        }
        self.tenders = [
            Tender(territory, currency, date(*begin) if begin else None, date(*end) if end else None)
            for territory, paid in sorted(get_global("territory_currencies").items())
            for currency, begin, end, is_tender in paid
            if is_tender and territory in self.spoken and currency in self.english.currencies
        ]
        self.languages = sorted({language for told in self.spoken.values() for language in told})

    def captures(self, license: str | None) -> Iterator[Capture]:
        by_script: dict[str, list[str]] = {}
        for language in self.languages:
            by_script.setdefault(self._script(language), []).append(language)
        pages = [
            *(self._territory(territory) for territory in self.spoken),
            *(self._currency(currency) for currency in sorted({one.currency for one in self.tenders})),
            *(self._language(language) for language in self.languages),
            *(self._script_page(script, found) for script, found in sorted(by_script.items()) if script),
        ]
        for kind, title, lead, facts, lists in pages:
            page = reference_page(title, lead, facts, lists, site="The atlas", license=license)
            yield Capture(f"{ATLAS}{kind}/{slug(title)}/", page.encode(), license=license)

    def _territory(self, territory: str) -> tuple[str, str, str, Facts, Facts]:
        name, spoken = self.names[territory], self.spoken[territory]
        official = [language for language, (_, is_official) in spoken.items() if is_official]
        tenders = sorted(
            (one for one in self.tenders if one.territory == territory), key=lambda one: one.begin or date.min
        )
        paid = [one for one in tenders if one.end is None]
        most = next(iter(spoken), "")
        facts = {
            "Territory code": [territory],
            "Own name": self._own_name(territory, official),
            "Official language": [self._to("language", language) for language in official],
            "Currency": [self._to("currency", one.currency) for one in paid],
            "Former currency": list(
                dict.fromkeys(self._to("currency", one.currency) for one in tenders if one.end is not None)
            ),
            "Time zone": [zone.replace("_", " ") for zone in self._zones.get(territory, ())[:MAX_TOLD]],
            **self._customs(territory, official or [most]),
        }
        lead = f"{name} is a territory where {self.english.languages[most]} is spoken most" if most else name
        since = next((one.begin for one in reversed(paid) if one.begin), None)
        money = f", and people have paid in {self._currency_name(paid[-1].currency)} since {since:%Y}" if since else ""
        languages = [
            f"{self._to('language', language)}, {percent:g} % of the people"
            for language, (percent, _) in spoken.items()
        ]
        return "territory", name, f"{lead}{money}.", facts, {"Languages": languages[:MAX_TOLD]}

    def _customs(self, territory: str, languages: Iterable[str]) -> Facts:
        """How dates and numbers are written there, where the repository has a locale of it."""
        named = next((f"{language}_{territory}" for language in languages if self._exists(language, territory)), "")
        if not named:
            return {}
        locale = self._locale.parse(named)
        return {
            "First day of the week": [_WEEKDAYS[locale.first_week_day]],
            "Short date": [html.escape(str(locale.date_formats["short"].pattern))],
            "Decimal sign": _decimal_sign(locale),
        }

    def _own_name(self, territory: str, languages: Iterable[str]) -> list[str]:
        """What the territory is called in its official languages, where that is not its English name."""
        found = [self._locale(language).territories.get(territory) for language in languages if self._exists(language)]
        return list(dict.fromkeys(html.escape(name) for name in found if name and name != self.names[territory]))

    def _currency(self, currency: str) -> tuple[str, str, str, Facts, Facts]:
        name = self._currency_name(currency)
        tenders = [one for one in self.tenders if one.currency == currency]
        begins, ends = [one.begin for one in tenders if one.begin], [one.end for one in tenders]
        last = max((end for end in ends if end), default=None) if None not in ends else None
        where = [
            f"{self._to('territory', one.territory)}, {_when(one)}"
            for one in sorted(tenders, key=lambda one: (one.begin or date.min, one.territory))
        ]
        places = self._digits.get(currency, self._digits["DEFAULT"])[0]
        facts = {
            "Currency code": [currency],
            "Introduced": [min(begins).isoformat()] if begins else [],
            "Withdrawn": [last.isoformat()] if last else [],
            "Decimal places": [str(places)],
            "Number of territories": [str(len({one.territory for one in tenders}))],
        }
        verb, told = ("was", tenders) if last else ("is", [one for one in tenders if one.end is None])
        first = self.names[told[0].territory]
        lead = f"{name} {verb} money in {first}" + (f" and {len(where) - 1} more entries below" if where[1:] else "")
        return "currency", name, f"{lead}.", facts, {"Territories": where}

    def _language(self, language: str) -> tuple[str, str, str, Facts, Facts]:
        name, script = self.english.languages[language], self._script(language)
        where = sorted(
            ((told[language], territory) for territory, told in self.spoken.items() if language in told), reverse=True
        )
        spoken = [
            f"{self._to('territory', territory)}, {percent:g} % of the people{', official' if is_official else ''}"
            for (percent, is_official), territory in where
        ]
        facts: Facts = {"Language code": [language], "Script": [self._to("script", script)] if script else []}
        if self._exists(language):
            locale = self._locale(language)
            words = {"January": locale.months["format"]["wide"][1], "Monday": locale.days["format"]["wide"][0]}
            facts |= {
                "Own name": [html.escape(locale.get_display_name() or "")],
                "Direction": _known(_DIRECTIONS, locale.text_direction),
                "Plural forms": [str(len(locale.plural_form.rules) + 1)],
                "Decimal sign": _decimal_sign(locale),
                **{f"Word for {word}": [html.escape(said)] for word, said in words.items() if said != word},
            }
        facts["Number of territories"] = [str(len(where))]
        lead = f"{name} is a language of {self.names[where[0][1]]}" + (
            f" and {len(where) - 1} more territories" if where[1:] else ""
        )
        return "language", name, f"{lead}.", facts, {"Territories": spoken}

    def _script_page(self, script: str, languages: Sequence[str]) -> tuple[str, str, str, Facts, Facts]:
        name = f"{self.english.scripts[script]} script"
        written = [self._to("language", language) for language in languages]
        facts = {"Script code": [script], "Number of languages": [str(len(languages))]}
        lead = f"{name} is what {len(languages)} of the languages in this atlas are written in"
        return "script", name, f"{lead}.", facts, {"Written languages": written}

    def _script(self, language: str) -> str:
        """ISO 15924 code of the script that a language is mostly written in, "" where it is not known."""
        parts = str(self._scripts.get(language, "")).split("_")
        return parts[1] if len(parts) == 3 and parts[1] in self.english.scripts else ""

    def _exists(self, language: str, territory: str = "") -> bool:
        return bool(self._has_data(f"{language}_{territory}" if territory else language))

    def _currency_name(self, currency: str) -> str:
        return str(self.english.currencies[currency])

    def _to(self, kind: str, code: str) -> str:
        """A link to a page of the atlas."""
        name = {
            "territory": lambda: self.names[code],
            "currency": lambda: self._currency_name(code),
            "language": lambda: self.english.languages[code],
            "script": lambda: f"{self.english.scripts[code]} script",
        }[kind]()
        return f'<a href="/{kind}/{slug(name)}/">{html.escape(name)}</a>'


def _when(tender: Tender) -> str:
    if tender.begin is None or tender.end is None:
        return f"since {tender.begin.year}" if tender.begin else "until now"
    return f"from {tender.begin.year} to {tender.end.year}"


def _known(names: Mapping[str, str], sign: str) -> list[str]:
    return [names[sign]] if sign in names else []


def _decimal_sign(locale: Any) -> list[str]:
    symbols = locale.number_symbols.get(locale.default_numbering_system) or {}
    return _known(_SIGNS, symbols.get("decimal", ""))
