"""Documents with everything that makes a splice hard, all of them invented; shared by the signing tests."""

from pathlib import Path

from signing.keys.files import FileSigner, load_pem, make_self_signed
from signing.keys.sm2_certificate import make_self_signed_sm2
from signing.keys.suite import SUITES

CEB = 'xmlns:ceb="http://www.chinaport.gov.cn/ceb"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

_ORDER = "<ceb:Order>\n  <ceb:orderNo>T-1</ceb:orderNo><ceb:note>样例 &amp; 甲</ceb:note><ceb:empty/>\n</ceb:Order>\n"
_EXTEND = "<ceb:ExtendMessage><ceb:name>N</ceb:name></ceb:ExtendMessage>"


def _root(inner: str, declarations: str = f"{CEB} {XSI}") -> str:
    return f'<ceb:CEB311Message guid="G-1" version="1.0" {declarations}>{inner}</ceb:CEB311Message>'


_IMPORT = _root(_ORDER)
_RARE = "<a>\u4e02\u3402\U00020000</a>"  # two and four bytes in GB18030
_LOOKALIKES = (
    '<ceb:Order note="a > b"><ceb:ExtendMessage><ceb:ExtendMessage/></ceb:ExtendMessage></ceb:Order>\n'
    "<!-- </ceb:CEB311Message> <ceb:ExtendMessage> --><?way </ceb:CEB311Message> <ceb:ExtendMessage?>"
    "<![CDATA[</ceb:CEB311Message><ceb:ExtendMessage>]]><ceb:ExtendMessageToo/>"
)

DOCUMENTS: dict[str, bytes] = {
    "with_xsi": _IMPORT.encode(),
    "without_xsi": _root(_ORDER, CEB).encode(),
    "xml_declaration": f'<?xml version="1.0" encoding="UTF-8"?>\n{_IMPORT}\n'.encode(),
    "bom": b"\xef\xbb\xbf" + _IMPORT.encode(),
    "crlf": f'<?xml version="1.0"?>\r\n{_IMPORT}\r\n'.replace("\n", "\r\n").replace("\r\r", "\r").encode(),
    "gb18030": f'<?xml version="1.0" encoding="GB18030"?>{_root(_ORDER + _RARE)}'.encode("gb18030"),
    "gbk": f"<?xml version='1.0' encoding='gbk' ?>{_IMPORT}".encode("gbk"),
    "gb2312": f'<?xml version="1.0" encoding="GB2312"?>{_IMPORT}'.encode("gb2312"),
    "gbk_cdata": f'<?xml version="1.0" encoding="GBK"?><!-- c -->{_root("<![CDATA[嘳]></x>]]><a/>")}<!-- t -->'.encode(
        "gbk"
    ),
    "comments_and_instructions_outside": (
        f"<?before it?><!-- before --><?again?>\n{_IMPORT}\n<!-- </ceb:CEB311Message> --><?after </x>?>\n<!--e-->"
    ).encode(),
    "trailing_comment_like_an_end_tag": b"<a-->t</a--><!-- </a-->",
    "comments_inside": _root("<!-- a --><ceb:Order>x<!-- b -->y</ceb:Order><!-- c -->").encode(),
    "cdata": _root("<ceb:Order><![CDATA[</ceb:CEB311Message> & <b>]]></ceb:Order>").encode(),
    "greater_in_attributes": _root("<ceb:Order a='>' b=\"/>\" c='\"'/>", f"{CEB} note='/>'").encode(),
    "default_namespace": b'<CEB311Message xmlns="http://www.chinaport.gov.cn/ceb" guid="G"><Order>1</Order></CEB311Message>',
    "other_prefix": b'<q:CEB311Message xmlns:q="http://www.chinaport.gov.cn/ceb"><q:Order/></q:CEB311Message  >',
    "no_namespace": b"<r>t</r>",
    "namespace_undone": b'<r xmlns="urn:a"><s xmlns=""><t/></s></r>',
    "ds_bound_otherwise": b'<r xmlns:ds="urn:other" xmlns:xsi="urn:not-it"><ds:a/></r>',
    "ds_bound_already": b'<r xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><a/></r>',
    "xml_attributes": b'<r xml:space="preserve" xml:lang="zh" xml:base="urn:b&amp;c"> <a xml:lang="en"/> </r>',
    "schema_location": _root(_ORDER, f'xsi:schemaLocation="urn:a b.xsd" {XSI} {CEB}').encode(),
    "odd_namespace_names": b"<r xmlns:z='urn:z?a=1;b' xmlns:a='urn:a'>\t<z:a a:b='1' b='2'/></r>",
    "character_references": _root(
        "<ceb:Order a='&#xD;&#9;&#10;&quot;'>&#xD;&#x4e2d;&gt;&apos;\"</ceb:Order>"
    ).encode(),
    "empty_elements": _root("<ceb:a/><ceb:b></ceb:b><ceb:c />").encode(),
    "lookalikes": _root(_LOOKALIKES).encode(),
    "no_child_elements": b"<r></r>",
}
"""Import forms: the Signature goes before the root end tag."""

EXPORTS: dict[str, bytes] = {
    "plain": _root(f"{_ORDER}{_EXTEND}").encode(),
    "text_around": _root(f"{_ORDER} a {_EXTEND} b ").encode(),
    "crlf": _root(f"{_ORDER}\n{_EXTEND}\n").replace("\n", "\r\n").encode(),
    "bom_without_xsi": b"\xef\xbb\xbf" + _root(f"{_ORDER}{_EXTEND}", CEB).encode(),
    "lookalikes": _root(f"{_LOOKALIKES}{_EXTEND}").encode(),
    "empty_element": _root(f"{_LOOKALIKES}<ceb:ExtendMessage a='>' />").encode(),
    "first_and_again_later": _root(f"{_EXTEND}{_ORDER}{_EXTEND}").encode(),
    "default_namespace": b'<CEB303Message xmlns="urn:c"><Order/><ExtendMessage/></CEB303Message>',
    "gb18030": f'<?xml version="1.0" encoding="GB18030"?>{_root(_LOOKALIKES + _EXTEND)}'.encode("gb18030"),
    "gbk_lookalike_in_cdata": (
        f'<?xml version="1.0" encoding="GBK"?>{_root(f"<![CDATA[嘳]><ceb:ExtendMessage>]]>{_EXTEND}")}'
    ).encode("gbk"),
}
"""Export forms: the Signature goes before the root's child ExtendMessage."""


def write_key(folder: Path, bits: int = 2048) -> FileSigner:
    """Make a key, write `key.pem` and `certificate.pem` into `folder` and load them."""
    return _written(folder, make_self_signed("Invented Company", bits), "")


def write_sm2_key(folder: Path, suite: str = "") -> FileSigner:
    """Do the same with an SM2 key; `suite` empty: the default."""
    return _written(folder, make_self_signed_sm2("样例公司"), suite)


def write_keys(folder: Path) -> dict[str, FileSigner]:
    """Make a key for each suite, in a folder of its name: name of the suite → signer."""
    signers = {}
    for suite in SUITES:
        inside = folder / suite.name
        inside.mkdir()
        is_sm2 = suite.key_type == "SM2"
        signers[suite.name] = write_sm2_key(inside, suite.name) if is_sm2 else write_key(inside)
    return signers


def _written(folder: Path, made: tuple[bytes, bytes], suite: str) -> FileSigner:
    key, certificate = made
    (folder / "key.pem").write_bytes(key)
    (folder / "key.pem").chmod(0o600)
    (folder / "certificate.pem").write_bytes(certificate)
    return load_pem(folder / "key.pem", folder / "certificate.pem", suite=suite)
