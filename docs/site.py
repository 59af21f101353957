"""What MkDocs does not do by itself: links out of docs/ lead to the files of the repository, which become part of the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
# Below this folder of the site lie the files of the repository that pages link to.
SHELF = "repository"
# What a search finds last: pages for whoever changes Cutover.
BEHIND = ("adr/", "architecture.md", "benchmarks.md", "questions.md", f"{SHELF}/")
# What a browser would load from another place by itself.
FOREIGN = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
LINK = re.compile(r"(?<!\!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
CODE = re.compile(r"^(?:    |\t)|^\s*(```|~~~)")


def on_files(files, config):
    """Puts every file outside of docs/ that a page links to onto the shelf, and what those pages link to."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        place = in_repository(page)
        for target in targets((ROOT / place).read_text(encoding="utf-8"), place):
            uri = shelved(target)
            if (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
                if target.endswith(".md"):
                    waiting.append(uri)
    return files


def on_page_markdown(markdown, page, **_):
    """Lets links lead to where their files are on the site. A folder has no page: its name stays as text."""
    if page.file.src_uri.startswith(BEHIND):
        page.meta["search"] = {"boost": 0.1}
    place = in_repository(page.file.src_uri)

    def led(link):
        target = resolved(link["target"], place)
        if target is None or (target.startswith("docs/") and place.startswith("docs/")):
            return link[0]
        if (ROOT / target).is_dir():
            return link["text"]
        to = posixpath.relpath(shelved(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{link['text']}]({to}{link['anchor'] or ''})"

    return "\n".join(line if CODE.match(line) else LINK.sub(led, line) for line in markdown.split("\n"))


def on_post_page(output, page, **_):
    foreign = FOREIGN.search(output)
    if foreign:
        raise PluginError(f"{page.file.src_uri} would load something from another place: {foreign[0]}")
    return output


def targets(markdown, place):
    for line in markdown.split("\n"):
        if not CODE.match(line):
            for link in LINK.finditer(line):
                target = resolved(link["target"], place)
                if target is not None:
                    yield target


def resolved(target, place):
    """The path in the repository that a relative link of the file at `place` names."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
    return None if target.startswith("/") or path.startswith("..") else path


def in_repository(uri):
    return uri.removeprefix(f"{SHELF}/") if uri.startswith(f"{SHELF}/") else f"docs/{uri}"


def shelved(path):
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{SHELF}/{path}"
