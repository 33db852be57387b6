"""How `make docs` turns these pages and the docstrings into a site that needs no network to be read."""

import ast
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

project = "aach_lightning"
release = version = installed_version("aach-lightning")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"aach_lightning {release}"
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # links such as data.md#nus-wide, as GitHub makes them

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True  # fields of named tuples are members already


PACKAGE = Path(__file__).parents[1] / "aach_lightning"


def write_module_pages(app: Sphinx) -> None:
    """A page for each room of the package, with every module that has something public in it."""
    pages = Path(app.srcdir) / "api"
    for old in pages.glob("*.rst"):
        old.unlink()
    rooms = [path for path in sorted(PACKAGE.iterdir()) if (path / "__init__.py").is_file()]
    for room in rooms:
        said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        lines = [room.name, "=" * len(room.name), "", said, ""]
        for file in sorted(room.rglob("*.py")):
            if file.name.startswith("_") or ("triton" in file.stem and find_spec("triton") is None):
                continue  # Triton comes with the GPU builds of torch alone
            module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
            lines += [module, "-" * len(module), "", f".. automodule:: aach_lightning.{module}", ""]
        (pages / f"{room.name}.rst").write_text("\n".join(lines), encoding="utf-8")


def as_mathml(formula: str, as_block: bool) -> str:
    """A formula of TeX, with braces as high as what they stand beside: browsers stretch them to a whole line."""
    found: str = latex2mathml.tex2mathml(formula, as_block=as_block)
    for brace in "{}":
        found = found.replace(f"<mo>{brace}</mo>", f'<mo stretchy="false">{brace}</mo>')
    return found


def write_inline_math(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula in a sentence."""
    writer.body.append(as_mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def write_block_math(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula of its own; it scrolls where the screen is narrow."""
    formula = as_mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="math" style="overflow-x: auto; margin: 1em 0">{formula}</div>\n')
    raise nodes.SkipNode


def escape_bars(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep |x| in a docstring what it is in a terminal, a formula: for Sphinx it would name a substitution."""
    in_example = False
    for number, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if not in_example:
            lines[number] = line.replace("|", "\\|")


def leave_out_aliases(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Fields of named tuples are described by their class, and what a module hands on by the library it is from."""
    if what == "module" and not str(getattr(obj, "__module__", None) or PACKAGE.name).startswith(PACKAGE.name):
        return True
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Formulas become MathML, which browsers draw themselves: Sphinx's own way loads a script from the network."""
    app.add_html_math_renderer("mathml", (write_inline_math, None), (write_block_math, None))
    app.add_lexer("csv", TextLexer)
    app.connect("builder-inited", write_module_pages)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", leave_out_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
