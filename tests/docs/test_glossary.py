"""The glossary: pages that use its terms link to it, and every link to a term finds one."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
WITHOUT_TERMS = {"changelog", "glossary"}
LINKING = sorted({page.stem for page in DOCS.glob("*.md")} - WITHOUT_TERMS)


def anchors(text: str) -> list[str]:
    """The anchors that MyST makes of the headings, as GitHub does."""
    headings = re.findall(r"^#{1,3} (.+)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_terms_are_many_and_distinct():
    terms = anchors(GLOSSARY)
    assert len(terms) > 30
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("page", LINKING)
def test_page_links_to_the_glossary(page):
    assert re.search(r"\]\(glossary\.md#[\w-]+\)", (DOCS / f"{page}.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_links_to_terms_and_headings_find_them(page):
    text = page.read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
        target = page if not name else page.parent / name
        assert anchor in anchors(target.read_text(encoding="utf-8")), f"{name}#{anchor}"
