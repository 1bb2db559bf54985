"""What a reader of HTML gets to see: asked only where something else raised doubt."""

from __future__ import annotations

from html.parser import HTMLParser

LONGEST = 100_000
"""Characters that are looked at; what is longer is judged by its beginning."""

_UNSEEN = frozenset({"head", "script", "style", "template", "title"})
_QUOTED = frozenset({"code", "kbd", "pre", "samp"})
_PICTURES = frozenset({"canvas", "embed", "iframe", "img", "input", "object", "svg", "video"})


class _Seen(HTMLParser):
    """Collects the text that is shown, without samples of code, and notices pictures."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.prose: list[str] = []
        self.has_picture = False
        self._within: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN or tag in _QUOTED:
            self._within[tag] = self._within.get(tag, 0) + 1
        elif tag in _PICTURES:
            self.has_picture |= not _is_pixel(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if self._within.get(tag):
            self._within[tag] -= 1

    def handle_data(self, data: str) -> None:
        inside = {tag for tag, depth in self._within.items() if depth}
        if not inside & _UNSEEN:
            self.text.append(data)
            if not inside & _QUOTED:
                self.prose.append(data)


def shows_nothing(html: str) -> bool:
    """Tell whether HTML renders to nothing: no text and no picture but a tracking pixel."""
    seen = _parsed(html)
    return len(html) <= LONGEST and not seen.has_picture and is_blank("".join(seen.text))


def prose(html: str) -> str:
    """Return the text that HTML shows, without samples of code."""
    return "".join(_parsed(html).prose)


def is_blank(text: str) -> bool:
    """Tell whether text shows nothing: white space and characters without a form."""
    return all(_is_formless(char) for char in text)


_FORMLESS = frozenset("\N{COMBINING GRAPHEME JOINER}\N{HANGUL FILLER}\N{BRAILLE PATTERN BLANK}")


def _is_formless(char: str) -> bool:
    # Not printable are controls, zero-width characters and every space but this one.
    return char == " " or char in _FORMLESS or not char.isprintable()


def _is_pixel(attributes: dict[str, str | None]) -> bool:
    sizes = (attributes.get("width"), attributes.get("height"))
    return all((size or "").removesuffix("px") in ("0", "1") for size in sizes)


def _parsed(html: str) -> _Seen:
    seen = _Seen()
    seen.feed(html[:LONGEST])
    return seen
