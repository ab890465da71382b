"""The file: a mark, a checksum of all the rest, a line on who wrote it, a skops file.

::

    8 bytes    MARK
    32 bytes   SHA-256 of everything after it
    1 line     JSON: format, versions of the libraries
    the rest   a zip file of skops, nothing in it compressed

The first two stay as they are in every format to come: that a file is whole is known
before a byte of it is understood. It is written beside its place and renamed, so that
a place holds the old file or the new one at any moment.
"""

import hashlib
import json
import os
import secrets
import stat

from skmeta.exceptions import CorruptFileError

MARK = b"\x93SKMETA\n"

CHECKSUM_BYTES = 32

MAX_HEADER_BYTES = 4096


def write(path, header, payload):
    """Write a file, or leave everything as it is."""
    line = json.dumps(header).encode() + b"\n"
    checksum = hashlib.sha256(line)
    checksum.update(payload)
    path = os.path.realpath(path)  # a link stays one
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else None
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"{path!r} may not be written.")
    folder = os.path.dirname(path)
    beside = os.path.join(folder, f".skmeta-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            for part in (MARK, checksum.digest(), line, payload):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder):
    """The rename itself is safe from a power cut; some systems cannot say so."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def read(path):
    """Header and payload of a file that is whole."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = memoryview(file.read(size))
    start = len(MARK) + CHECKSUM_BYTES
    if content[: len(MARK)] != MARK:
        raise CorruptFileError(
            f"{os.fspath(path)!r} is no file of skmeta.save, or its beginning is "
            "damaged."
        )
    if hashlib.sha256(content[start:]).digest() != content[len(MARK) : start]:
        raise CorruptFileError(
            f"{os.fspath(path)!r} is damaged or cut short: its checksum does not fit. "
            "Restore it from a copy, or save the model again."
        )
    line = bytes(content[start : start + MAX_HEADER_BYTES]).split(b"\n", 1)[0]
    return json.loads(line), content[start + len(line) + 1 :]
