"""The schemas of one edition: found in a folder, compiled at first use, in two views.

In the folder and its subfolders, every `*.xsd` that no other file includes is an entry schema; the message
roots that it declares at the top level, itself or through its includes, decide which messages it is for
(`CEBnnnMessage`, `DxpMsg`, `DxpMsgSv`, `DxpRep`). File names do not matter, so an operator may replace ours
by the official files. The W3C schema of ds:Signature is always the one in the installed `xmlschema` package;
nothing is ever fetched from a network.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from lxml import etree

from gateway.errors import RulesError
from gateway.rules.schema_model import XS, ElementDecl, Grammar

CEB_NAMESPACE: Final = "http://www.chinaport.gov.cn/ceb"
DXP_NAMESPACE: Final = "http://www.chinaport.gov.cn/dxp"
DS_NAMESPACE: Final = "http://www.w3.org/2000/09/xmldsig#"
SIGNATURE: Final = f"{{{DS_NAMESPACE}}}Signature"

_ROOTS: Final = re.compile(
    rf"\{{{re.escape(CEB_NAMESPACE)}\}}CEB\d{{3}}Message|\{{{re.escape(DXP_NAMESPACE)}\}}Dxp(Msg|MsgSv|Rep)"
)
_REFERENCES: Final = (f"{XS}include", f"{XS}import", f"{XS}redefine")
_DSIG_URL: Final = "schema:/xmldsig-core-schema.xsd"


class View(StrEnum):
    """How strictly a document is validated; the two views differ only in ds:Signature."""

    DECLARED = "declared"
    """As an enterprise submits it: ds:Signature is optional everywhere, because the gateway may add it."""
    SENDABLE = "sendable"
    """As customs' schema requires: ds:Signature is mandatory in 621, 623, 625 and 711."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One schema file: parsed, its references resolved to paths, and the URL that the compiler uses for it."""

    path: Path
    url: str
    schema: etree._Element
    references: Mapping[etree._Element, Path]


class Schemas:
    """The schemas of one edition folder. Compiled schemas are shared: one thread at a time may validate."""

    def __init__(self, edition: str, files: Mapping[Path, _File]) -> None:
        """Take the files as read by `load` and find which entry schema declares which root."""
        self.edition = edition
        self._files = files
        self._entries: dict[str, _File] = {}
        self._grammars: dict[Path, Grammar] = {}
        self._decls: dict[str, ElementDecl] = {}
        self._tags: set[str] = set()
        self._compiled: dict[tuple[Path, View], etree.XMLSchema] = {}
        self._by_root: dict[tuple[str, View], etree.XMLSchema] = {}
        self._base64_tags: dict[str, tuple[str, ...]] = {}
        for entry in self._entry_files():
            self._adopt(entry)

    @classmethod
    def load(cls, folder: Path, *, edition: str = "") -> Self:
        """Read the schemas in `folder`; reads files, compiles nothing yet. `edition`: by default the folder's name.

        Raises `RulesError` when there is none, one is not XML, or one refers to a missing file.
        """
        files = {path: _read(path, folder) for path in sorted(folder.resolve().rglob("*.xsd"))}
        schemas = cls(edition or folder.resolve().name, files)
        if not schemas.roots:
            raise RulesError(
                "no schema of a CEB or DXP message found",
                where=str(folder),
                fix="point it at a folder of XSD files, for instance xsd/202205",
            )
        return schemas

    @property
    def roots(self) -> frozenset[str]:
        """Local names of all messages of these schemas: `CEB311Message`, …, `DxpRep`."""
        return frozenset(self._decls)

    def declares(self, tag: str) -> bool:
        """Whether `tag`, `{namespace}name`, is the root of a message of these schemas."""
        return tag in self._tags

    def namespace_of(self, root: str) -> str:
        """Return the namespace of that message; raises `RulesError` for an unknown name."""
        return self.declaration(root).namespace

    def declaration(self, root: str) -> ElementDecl:
        """Return the declared root element; raises `RulesError` for an unknown name."""
        if root not in self._decls:
            raise RulesError(
                f"no schema for {root}", where=f"edition {self.edition}", fix=f"use one of {_few(self.roots)}"
            )
        return self._decls[root]

    def schema_for(self, root: str, view: View) -> etree.XMLSchema:
        """Return the compiled schema for messages of that root; compiled at the first call.

        Raises `RulesError` for an unknown name and for a schema that does not compile.
        """
        found = self._by_root.get((root, view))
        if found is None:
            self.declaration(root)
            found = self._by_root[root, view] = self._compile(self._entries[root], view)
        return found

    def grammar_for(self, root: str) -> Grammar:
        """Return the Grammar of that schema, for explanations; raises `RulesError` for an unknown name."""
        self.declaration(root)
        return self._grammar(self._entries[root])

    def base64_tags(self, root: str) -> tuple[str, ...]:
        """Return the elements that contain Base64 in messages of that root, outside of a ds:Signature.

        In lxml's notation, `{namespace}name`. Raises `RulesError` for an unknown name.
        """
        if root not in self._base64_tags:
            found = self.grammar_for(root).tags_of("base64Binary", [self.declaration(root)])
            self._base64_tags[root] = tuple(sorted(found))
        return self._base64_tags[root]

    def name_zh(self, path: str) -> str:
        """Return the Chinese name of a field: `/CEB311Message/Order[1]/OrderHead/orderNo`, `/DxpMsg/@ver`.

        Positions do not matter. Empty when these schemas do not know the path or its name.
        """
        steps = [re.sub(r"\[\d+\]$", "", step) for step in path.strip("/").split("/")]
        decl = self._decls.get(steps[0])
        for step in steps[1:]:
            if decl is None:
                break
            grammar = self.grammar_for(steps[0])
            if step.startswith("@"):
                attributes = grammar.shape(decl).attributes
                return next((a.name_zh for a in attributes if a.name == step[1:]), "")
            decl = grammar.child(decl, step.rpartition(":")[2])
        return decl.name_zh if decl is not None else ""

    def titles(self) -> dict[str, str]:
        """Return the name of every element that messages of these schemas may have, with its Chinese name."""
        found: dict[str, str] = {}
        for root, decl in self._decls.items():
            grammar, waiting, seen = self.grammar_for(root), [decl], set[str]()
            while waiting:
                one = waiting.pop()
                if one.tag in seen:
                    continue
                seen.add(one.tag)
                found[one.name] = found.get(one.name) or one.name_zh
                waiting += [slot.decl for slot in grammar.shape(one).slots if slot.decl is not None]
        return found

    def _entry_files(self) -> Iterator[_File]:
        included = {path for file in self._files.values() for path in file.references.values()}
        yield from (file for path, file in self._files.items() if path not in included)

    def _adopt(self, entry: _File) -> None:
        for decl in self._grammar(entry).elements():
            if not _ROOTS.fullmatch(decl.tag):
                continue
            known = self._entries.get(decl.name)
            if known is not None and decl.namespace == CEB_NAMESPACE:
                raise RulesError(
                    f"two schemas declare {decl.name}",
                    where=f"{known.path} and {entry.path}",
                    fix="keep one of them in the folder",
                )
            if known is None:  # the DXP schemas of the two node kinds may both declare DxpMsg
                self._entries[decl.name] = entry
                self._decls[decl.name] = decl
                self._tags.add(decl.tag)

    def _closure(self, entry: _File) -> list[tuple[_File, str]]:
        """Return the entry and all its includes, each with its namespace (a chameleon include gets the entry's)."""
        namespace = entry.schema.get("targetNamespace", "")
        found: dict[Path, _File] = {}
        waiting = [entry]
        while waiting:
            file = waiting.pop()
            if file.path in found:
                continue
            found[file.path] = file
            waiting += [
                self._files[path] for node, path in file.references.items() if node.tag != f"{XS}import"
            ]
        return [(file, file.schema.get("targetNamespace", namespace)) for file in found.values()]

    def _grammar(self, entry: _File) -> Grammar:
        if entry.path not in self._grammars:
            self._grammars[entry.path] = Grammar([(f.schema, ns) for f, ns in self._closure(entry)])
        return self._grammars[entry.path]

    def _compile(self, entry: _File, view: View) -> etree.XMLSchema:
        key = (entry.path, view)
        if key not in self._compiled:
            parser = _parser()
            parser.resolvers.add(_Library(self._files, view))
            try:
                schema = etree.fromstring(_render(entry, view, self._files), parser, base_url=entry.url)
                self._compiled[key] = etree.XMLSchema(schema.getroottree())
            except etree.XMLSchemaParseError as err:
                raise RulesError(
                    f"the schema does not compile: {err}",
                    where=str(entry.path),
                    fix="put the original file back",
                ) from err
        return self._compiled[key]


class _Library(etree.Resolver):
    """Resolves the compiler's references from memory; any other reference is refused."""

    def __init__(self, files: Mapping[Path, _File], view: View) -> None:
        super().__init__()
        self._files = files
        self._by_url = {file.url: file for file in files.values()}
        self._view = view

    def resolve(self, system_url: str, public_id: str, context: Any = None) -> Any:  # noqa: ARG002 (lxml's call)
        if system_url == _DSIG_URL:
            text = _signature_schema()
        elif system_url in self._by_url:
            text = _render(self._by_url[system_url], self._view, self._files)
        else:
            fix = "put the file in the folder"
            raise RulesError("a schema refers outside its folder", where=system_url, fix=fix)
        return self.resolve_string(text, context, base_url=system_url)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False, dtd_validation=False)


def _read(path: Path, folder: Path) -> _File:
    try:
        schema = etree.parse(path, _parser()).getroot()
    except (OSError, etree.XMLSyntaxError) as err:
        raise RulesError(f"not a schema: {err}", where=str(path), fix="put the original file back") from err
    references: dict[etree._Element, Path] = {}
    for node in schema.iterchildren(*_REFERENCES):
        location = node.get("schemaLocation")
        if node.get("namespace") == DS_NAMESPACE or location is None:
            continue
        target = (path.parent / location).resolve()
        if not target.is_file() or not target.is_relative_to(folder.resolve()):
            raise RulesError(
                f"schema file {location} is missing",
                where=f"{path}:{node.sourceline}",
                fix="put it in the folder",
            )
        references[node] = target
    url = f"schema:/{quote(path.relative_to(folder.resolve()).as_posix())}"
    return _File(path=path, url=url, schema=schema, references=references)


def _render(file: _File, view: View, files: Mapping[Path, _File]) -> bytes:
    """Return the file for the compiler: references replaced by our URLs, ds:Signature according to the view."""
    schema = deepcopy(file.schema)
    for old, new in zip(
        file.schema.iterchildren(*_REFERENCES), schema.iterchildren(*_REFERENCES), strict=True
    ):
        if old.get("namespace") == DS_NAMESPACE:
            new.set("schemaLocation", _DSIG_URL)
        elif old in file.references:
            new.set("schemaLocation", files[file.references[old]].url)
    if view is View.DECLARED:
        for node in schema.iter(f"{XS}element"):
            if is_signature_reference(node):
                node.set("minOccurs", "0")
    return etree.tostring(schema)


def is_signature_reference(node: etree._Element) -> bool:
    """Whether an xs:element refers to ds:Signature."""
    prefix, _, local = node.get("ref", "").rpartition(":")
    return local == "Signature" and node.nsmap.get(prefix or None) == DS_NAMESPACE


def _signature_schema() -> bytes:
    """Read the W3C schema from the installed package, without its DOCTYPE and without importing the package."""
    spec = find_spec("xmlschema")
    if spec is None or spec.origin is None:
        raise RulesError("the package xmlschema is not installed", fix="install the gateway's dependencies")
    path = Path(spec.origin).parent / "schemas" / "DSIG" / "xmldsig-core-schema.xsd"
    return etree.tostring(etree.parse(path, _parser()).getroot())


@cache
def signature_base64_tags() -> tuple[str, ...]:
    """Return the elements that contain Base64 in a ds:Signature, according to its W3C schema."""
    grammar = Grammar([(etree.fromstring(_signature_schema()), DS_NAMESPACE)])
    return tuple(sorted(grammar.tags_of("base64Binary", grammar.elements())))


def _few(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)[:5]) + ", …"
