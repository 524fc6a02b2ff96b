"""What the site of the documents needs beside them; used by MkDocs alone."""

import itertools
import re
from pathlib import Path

from latex2mathml.converter import convert
from markdown.extensions.toc import slugify
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"index.md": ROOT / "README.md", "configuration.md": ROOT / "config/README.md"}
"""Pages that lie beside what they describe."""

COLOURS = """\
<script>
{ // light or dark, as the reader's system is; before anything is drawn
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  follow();
  dark.addEventListener("change", follow);
}
</script>
"""
"""The theme's own script for it fails where no code is highlighted."""


def anchor(heading, separator):
    """Name a heading; the theme's script fails at names that begin with a number."""
    return re.sub(r"^(?=[0-9])", "step-", slugify(heading, separator))


def on_config(config):
    """Name the headings of all pages so."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchor
    return config


def on_files(files, config):
    """Add the pages that lie elsewhere."""
    for name, source in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to pages of the site; name other files of the repository as such.

    Raises
    ------
    FileNotFoundError
        If a link leads to a file that does not exist.
    """
    source = ELSEWHERE.get(page.file.src_uri, ROOT / "docs" / page.file.src_uri)
    pages = {path: name for name, path in ELSEWHERE.items()}

    def link(match):
        text, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        place, _, heading = target.partition("#")
        path = (source.parent / place).resolve()
        if not path.exists():
            raise FileNotFoundError(f"{page.file.src_uri}: the link to {target} leads nowhere")
        name = path.name if path.parent == ROOT / "docs" else pages.get(path)
        if name is None:
            return f"{text} (`{path.relative_to(ROOT)}`)"
        return f"[{text}]({name}{f'#{heading}' if heading else ''})"

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
    """Put the equations back, and let a keyboard scroll what is wider than a phone.

    Equations are MathML: browsers draw it without a script or a font to fetch.
    """
    number = itertools.count(1)

    def scrolled(match):
        table = match[0].replace("<table>", '<table class="table table-striped">')
        region = f'tabindex="0" role="region" aria-label="Table {next(number)}"'
        return f'<div class="scroll" {region}>{table}</div>'

    html = re.sub(r"<table>.*?</table>", scrolled, html, flags=re.DOTALL)
    html = html.replace("<pre>", '<pre tabindex="0">')
    return re.sub(r"EQUATION-(\d+)-", lambda match: page.meta["equations"][int(match[1])], html)


def on_post_page(output, page, config):
    """Let a page follow the reader's choice of light or dark."""
    return output.replace("</head>", f"{COLOURS}</head>")


def on_post_template(output_content, template_name, config):
    """Do so for the page that says what was not found, too."""
    return on_post_page(output_content, None, config)
