"""Links lead somewhere."""

import re
from pathlib import Path

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def test_relative_links_lead_to_files_and_headings(pages: list[Path]) -> None:
    """Every relative link names a file of the repository, and its anchor a heading there."""
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in _LINK.findall(_FENCE.sub("", page.read_text()))
        if not link.startswith(("http:", "https:", "mailto:")) and not _leads(page, link)
    ]
    assert broken == []


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target.read_text())


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
