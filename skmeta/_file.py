"""Files that are whole or refused: models (`skmeta.persistence`), checkpoints of fits.

::

    8 bytes    mark: what kind of file it is
    32 bytes   SHA-256 of everything after it
    1 line     JSON: format, versions of the libraries
    the rest   the payload

The first two stay as they are in every format to come: that a file is whole is known
before a byte of it is understood. It is written beside its place and renamed, so that
a place holds the old file or the new one at any moment.
"""

import contextlib
import glob
import hashlib
import json
import os
import secrets
import stat

from skmeta.exceptions import CorruptFileError

MODEL = b"\x93SKMETA\n"

CHECKPOINT = b"\x93SKMFIT\n"

CHECKSUM_BYTES = 32

MAX_HEADER_BYTES = 4096


def write(path, mark, header, payload):
    """Write a file, or leave everything as it is."""
    line = json.dumps(header).encode() + b"\n"
    checksum = hashlib.sha256(line)
    checksum.update(payload)
    path = os.path.realpath(path)  # a link stays one
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else None
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"{path!r} may not be written.")
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            for part in (mark, checksum.digest(), line, payload):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # stopped after the renaming
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


def clear(path):
    """Remove what a write that was killed has left beside a place."""
    folder, name = os.path.split(path)
    for beside in glob.glob(f".{glob.escape(name)}-*.tmp", root_dir=folder):
        os.unlink(os.path.join(folder, beside))


def read(path, mark, what, remedy):
    """Header line and payload of a file that is whole.

    Raises
    ------
    CorruptFileError
        Saying that it is no ``what``, or damaged, and the ``remedy``.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = memoryview(file.read(size))
    start = len(mark) + CHECKSUM_BYTES
    if content[: len(mark)] != mark:
        raise CorruptFileError(
            f"{os.fspath(path)!r} is no {what}, or its beginning is damaged. {remedy}"
        )
    if hashlib.sha256(content[start:]).digest() != content[len(mark) : start]:
        raise CorruptFileError(
            f"{os.fspath(path)!r} is damaged or cut short: its checksum does not fit. "
            f"{remedy}"
        )
    line = bytes(content[start : start + MAX_HEADER_BYTES]).split(b"\n", 1)[0]
    return line, content[start + len(line) + 1 :]
