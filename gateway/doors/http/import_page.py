"""The page for people with a browser and a sheet (`/import`): one answer, which loads nothing and talks to this door alone.

The page itself holds no data and needs no token; everything it shows it asks of the HTTP API with the token that its
user types, which it keeps in memory only.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent


@cache
def import_page() -> str:
    """Return the page, with its style and its script inside."""
    page = _file("html")
    for name, part in (("style", "css"), ("script", "js")):
        page = page.replace("{{" + name + "}}", _file(part))
    return page


@cache
def import_page_headers() -> dict[str, str]:
    """Return what the browser has to hold the page to: this style, this script, requests to this door, and nothing else."""
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src {_source('css')}; script-src {_source('js')};"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }


def _source(part: str) -> str:
    """Name the content of a file in a policy (Content Security Policy, level 3, hash-source)."""
    return f"'sha256-{b64encode(sha256(_file(part).encode()).digest()).decode()}'"


@cache
def _file(part: str) -> str:
    return (_HERE / f"import_page.{part}").read_text("utf-8")
