"""What the site of the documents needs beside them; used by MkDocs alone."""

import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]


def on_files(files, config):
    """Add the configuration, which lies beside the files it describes."""
    source = ROOT / "config/README.md"
    files.append(File.generated(config, "configuration.md", abs_src_path=str(source)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to the configuration at its page; name other files of the repository as such.

    Raises
    ------
    FileNotFoundError
        If a link leads to a file that does not exist.
    """
    folder = ROOT / ("config" if page.file.src_uri == "configuration.md" else "docs")

    def link(match):
        text, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        path = (folder / target.split("#")[0]).resolve()
        if not path.exists():
            raise FileNotFoundError(f"{page.file.src_uri}: the link to {target} leads nowhere")
        if path == ROOT / "config/README.md":
            return f"[{text}](configuration.md)"
        return match[0] if path.parent == ROOT / "docs" else f"{text} (`{path.relative_to(ROOT)}`)"

    page.meta["equations"] = []

    def equation(match):
        """Keep an equation from Markdown, which would read its underscores as italics."""
        if match[0].startswith("`"):
            return match[0]
        display, inline = match.groups()
        kept = page.meta["equations"]
        kept.append(convert(display or inline, display="block" if display else "inline"))
        return f"EQUATION-{len(kept) - 1}-"

    markdown = re.sub(r"`[^`\n]*`|\$\$(.+?)\$\$|\$([^$\n]+)\$", equation, markdown, flags=re.DOTALL)
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", link, markdown)


def on_page_content(html, page, config, files):
    """Put the equations back, as MathML: browsers draw it without a script or a font to fetch."""
    return re.sub(r"EQUATION-(\d+)-", lambda match: page.meta["equations"][int(match[1])], html)
