r"""Formulas as MathML, made when the pages are built: they need no internet, no script and no font
of their own.

A formula may end with ``\tag{...}``, which becomes its number on the right. What docutils cannot
translate is a warning that names the formula, and so an error where warnings are."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

TAG = re.compile(r"\s*\\tag\{([^{}]*)\}\s*$")


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula of a line."""
    translator.body.append(_translated(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number."""
    number = TAG.search(node.astext())
    right = f'<span class="number">({html.escape(number[1])})</span>' if number else ""
    translator.body.append(
        f'<div class="formula"><div>{_translated(node, as_block=True)}</div>{right}</div>\n'
    )
    raise nodes.SkipNode


def _translated(node: nodes.Element, as_block: bool) -> str:
    formula = TAG.sub("", node.astext())
    try:
        mathml = tex2mathml(formula, as_block=as_block)
    except MathError as error:
        logger.warning("%s in the formula %s", error, formula, location=node)
        return f"<code>{html.escape(formula)}</code>"
    # Browsers stretch these to the height of their line, unless they are told not to; docutils
    # tells them of brackets.
    return re.sub(
        r"<mo(?: class=\"math(?:open|close)\")?>([{}‖])</mo>",
        r'<mo stretchy="false">\1</mo>',
        mathml,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer, and take it."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None)
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
