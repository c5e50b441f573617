"""What `mkdocs build` needs beside the pages: links out of docs/, the reference, equations.

Pages are written for GitHub, and are not written twice. A file outside docs/ that a page links to
is on the site too: Markdown as a page, source and notebooks as one that shows them. A link to a
function, [`name`](../glide_jax/FILE.py), leads to its docstring in the reference, which is made
of the modules that make_api.py lists. Equations become MathML, which browsers set without a
script.
"""

import html
import json
import posixpath
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE_LINK = re.compile(r"\[`([\w.]+)`\]\((?:\.\./)*(glide_jax/[\w/]+)\.py\)")
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_BADGE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)")
_NESTED_ITEM = re.compile(r"^  (?=- )", re.MULTILINE)  # which Python-Markdown wants at 4 spaces
_LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation with the reference's pages in place of `reference/`."""
    pages = [{heading: uri} for heading, uri, _ in _reference()]

    def filled(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: pages if to == "reference/" else filled(to) for name, to in item.items()}
        return [filled(one) for one in item] if isinstance(item, list) else item

    config.nav = filled(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and every file outside docs/ that a page links to, README.md first."""
    maths_font = runpy.run_path(str(ROOT / "docs/maths_font.py"))
    files.append(File.generated(config, maths_font["NAME"], content=maths_font["font"]()))
    for _, uri, text in _reference():
        files.append(File.generated(config, uri, content=text))
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(_outside(config, path))
        if not path.endswith(".md") or not (ROOT / path).is_file():
            continue
        for target in _targets((ROOT / path).read_text("utf-8"), path):
            if target not in seen and not target.startswith("docs/"):
                seen.add(target)
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links that are right on the site."""
    here = _repository_path(page.file.src_uri)
    if here.startswith("docs/reference/"):
        return markdown

    def rewritten(match: re.Match[str]) -> str:
        target = _site_uri(_resolved(here, match[1]))
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri)) + (match[2] or "")

    # An image from elsewhere is its words: the site calls no other.
    markdown = _BADGE.sub(r"\1", markdown)
    linked = _LINK.sub(rewritten, _CODE_LINK.sub(_to_reference, markdown))
    # Every other part is fenced code, where an item of a list is none.
    parts = linked.split("\n```")
    parts[::2] = [_NESTED_ITEM.sub("    ", part) for part in parts[::2]]
    return "\n```".join(parts)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its equations in MathML."""
    return _EQUATION.sub(_mathml, content)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[2] == "[" else "inline"
    return convert(html.unescape(match[3]).strip(), display=display)


def _to_reference(match: re.Match[str]) -> str:
    module = match[2].replace("/", ".").removesuffix(".__init__")
    return f"[`{match[1]}`][{module}.{match[1]}]"


def _reference() -> Iterator[tuple[str, str, str]]:
    """(heading, URI, text) of the pages: one for each heading of the API page."""
    modules: dict[str, tuple[str, ...]] = runpy.run_path(str(ROOT / "docs/make_api.py"))["MODULES"]
    for heading, paths in modules.items():
        names = [path.removesuffix(".py").removesuffix("/__init__") for path in paths]
        parts = [f"::: glide_jax.{name.replace('/', '.')}\n" for name in names]
        slug = re.sub(r"\W+", "_", heading.lower())
        yield heading, f"reference/{slug}.md", f"# {heading}\n\n" + "\n".join(parts)


def _outside(config: MkDocsConfig, path: str) -> File:
    """A file of the repository that is not in docs/, as one of the site."""
    uri, source = _site_uri(path), ROOT / path
    if uri == path:
        return File.generated(config, uri, abs_src_path=str(source))
    text = source.read_text("utf-8")
    shown = _notebook(text) if source.suffix == ".ipynb" else _fenced(source.suffix, text)
    page = f"# {path}\n\n{shown}"
    return File.generated(config, uri, content=page, inclusion=InclusionLevel.NOT_IN_NAV)


def _notebook(text: str) -> str:
    """The cells of a notebook as Markdown, its headings one level lower."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    parts = [
        _fenced(".py", source) if kind == "code" else re.sub(r"^#", "##", source, flags=re.M)
        for kind, source in cells
    ]
    return "\n\n".join(parts)


def _fenced(suffix: str, text: str) -> str:
    return f"````{_LANGUAGES.get(suffix, 'text')}\n{text}\n````\n"


def _targets(markdown: str, path: str) -> Iterator[str]:
    """The files of the repository that a page links to; functions are in the reference."""
    for match in _LINK.finditer(_CODE_LINK.sub("", markdown)):
        target = _resolved(path, match[1])
        if (ROOT / target).is_file():
            yield target


def _resolved(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _site_uri(path: str) -> str:
    """Where a file of the repository is on the site; a folder is its README.md."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    return path if path.endswith((".md", ".png")) else f"{path}.md"


def _repository_path(uri: str) -> str:
    """The file that a page of the site is made of."""
    if (ROOT / "docs" / uri).is_file() or uri.startswith("reference/"):
        return f"docs/{uri}"
    return uri if (ROOT / uri).is_file() else uri.removesuffix(".md")
