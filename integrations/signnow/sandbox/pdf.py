"""As much PDF as a sandbox needs: count pages, and make the signed file out of the uploaded one."""

import re
from collections.abc import Sequence
from typing import Final

_TRAILER = re.compile(rb"trailer\s*(<<.*?>>)\s*startxref\s+(\d+)\s+%%EOF\s*$", re.DOTALL)
_PAGE: Final = re.compile(rb"/Type\s*/Page(?!s)")


def count_pages(content: bytes) -> int:
    """Pages of a PDF whose objects are not compressed, else 1."""
    return len(_PAGE.findall(content)) or 1


def collapse(original: bytes, *, title: str, signed_by: Sequence[str]) -> bytes:
    """The PDF with what was filled in: the original, and an update appended to it that names the signers.

    An original that cannot take the update (no PDF, or one with a compressed cross-reference) is replaced by a page
    that tells the same.
    """
    facts = [f"Signed by {signer}" for signer in signed_by] or ["Not signed"]
    match = _TRAILER.search(original)
    root, size = _entries(match[1]) if match else (None, None)
    if match is None or root is None or size is None:
        return _one_page(title, facts)
    info = b"<< /Title %s /Keywords %s /Producer (SignNow sandbox) >>" % (_text(title), _text("; ".join(facts)))
    body = original if original.endswith(b"\n") else original + b"\n"
    update = b"%d 0 obj\n%s\nendobj\n" % (size, info)
    table = b"xref\n%d 1\n%010d 00000 n \n" % (size, len(body))
    trailer = b"trailer\n<< /Size %d /Root %s /Info %d 0 R /Prev %s >>\n" % (size + 1, root, size, match[2])
    return body + update + table + trailer + b"startxref\n%d\n%%%%EOF\n" % (len(body) + len(update))


def merge(title: str, names: Sequence[str]) -> bytes:
    """One PDF that tells which documents are in it."""
    return _one_page(title, names)


def _entries(trailer: bytes) -> tuple[bytes | None, int | None]:
    root, size = re.search(rb"/Root\s+(\d+\s+\d+\s+R)", trailer), re.search(rb"/Size\s+(\d+)", trailer)
    return (root[1] if root else None), (int(size[1]) if size else None)


def _one_page(title: str, lines: Sequence[str]) -> bytes:
    shown = b" T* ".join(_text(line) + b" Tj" for line in (title, *lines))
    stream = b"BT /F1 12 Tf 16 TL 72 720 Td %s ET" % shown
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    file, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return file + (
        b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (table, len(file))
    )


def _text(value: str) -> bytes:
    escaped = re.sub(r"([\\()])", r"\\\1", value)
    return b"(" + escaped.encode("latin-1", "replace") + b")"
