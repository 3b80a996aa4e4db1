"""What people read comes in short sentences."""

import html
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.site import PAGE

ROOT = Path(__file__).parents[2]
WORDS = 30
INLINE = re.compile(r"</?(?:a|b|code|i|option|span)\b[^>]*>")


def long_sentences(text: str) -> list[str]:
    """Sentences end at a full stop, a question or an exclamation mark, and with their paragraph."""
    sentences = re.split(r"(?<=[.?!])\s|\n\s*\n", text)
    return [sentence for sentence in sentences if len(sentence.split()) > WORDS]


def test_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) <= 1300
    text = re.sub(r"```.*?```", "", readme, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)  # links' targets
    assert not long_sentences(re.sub(r"\n\||\|", "\n\n", text))


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages(client: FlaskClient, path: str) -> None:
    text = INLINE.sub("", client.get(path).text)
    text = re.sub("<pre.*?</pre>", "", text, flags=re.DOTALL)
    assert not long_sentences(html.unescape(re.sub("<[^>]+>", "\n\n", text)))


def test_what_the_page_says_later() -> None:
    for file in PAGE.glob("*.js"):
        script = re.sub(r'["`]\s*\+\s*["`]', "", file.read_text())  # strings that continue
        texts = re.findall(r'"([^"\n]*)"|`([^`]*)`', script)
        assert not long_sentences("\n\n".join(map("".join, texts)))
