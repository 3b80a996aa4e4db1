"""Files on disks and in buckets, all through pyarrow's file systems."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow import fs

SCHEMES = ("s3://", "gs://", "gcs://", "hdfs://")


def locate(uri: str) -> tuple[Any, str]:
    """The file system of a path or URI, and the path in it.

    Args:
        uri: a local path, or s3://bucket/key, gs://bucket/key.
    """
    if uri.startswith(SCHEMES):
        system, path = fs.FileSystem.from_uri(uri)
        return system, path
    return fs.LocalFileSystem(), absolute(uri)


def absolute(uri: str) -> str:
    """The same in any working directory."""
    return uri if uri.startswith(SCHEMES) else str(Path(uri).expanduser().absolute())


def join(uri: str, *names: str) -> str:
    return "/".join((uri.rstrip("/"), *names))


def sibling(uri: str, path: str) -> str:
    """A path as it is meant in a table: relative to the table's folder."""
    if path.startswith((*SCHEMES, "/")):
        return path
    scheme, separator, rest = uri.rpartition("://")
    return f"{scheme}{separator}{PurePosixPath(rest).parent / path}"


def walk(uri: str) -> Iterator[str]:
    """All files below a folder, folder by folder, each in the order of their names."""
    system, path = locate(uri)
    # Google's buckets have no folders: asked for one level, pyarrow leaves out all below it.
    at_once = system.type_name == "gcs"
    infos = system.get_file_info(fs.FileSelector(path, recursive=at_once))
    for info in sorted(infos, key=lambda each: PurePosixPath(each.path).parts):
        name = info.path.removeprefix(path).strip("/")
        if any(part.startswith(".") for part in name.split("/")):
            continue
        if info.type != fs.FileType.Directory:
            yield join(uri, name)
        elif not at_once:
            yield from walk(join(uri, name))


def is_folder(uri: str) -> bool:
    """Whether this is a folder.

    Raises:
        FileNotFoundError: there is nothing.
    """
    system, path = locate(uri)
    kind = system.get_file_info(path.rstrip("/")).type
    if kind == fs.FileType.NotFound:
        raise FileNotFoundError(f"{uri}: no such file or folder")
    return bool(kind == fs.FileType.Directory)


def names(uri: str) -> set[str]:
    """The names of what is in a folder; none if there is no such folder."""
    system, path = locate(uri)
    selector = fs.FileSelector(path, allow_not_found=True)
    return {info.base_name for info in system.get_file_info(selector)}


def read(uri: str, limit: int = -1) -> bytes:
    """The contents of a file, or its first `limit` bytes."""
    system, path = locate(uri)
    with system.open_input_stream(path) as file:
        return bytes(file.read(None if limit < 0 else limit))


def write(uri: str, data: bytes | memoryview) -> None:
    """Write a file, so that at any time all of it is there or nothing."""
    system, path = locate(uri)
    if isinstance(system, fs.LocalFileSystem):
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(target)
        return
    with system.open_output_stream(path) as file:  # objects appear when they are complete
        file.write(data)


def output_stream(uri: str) -> Any:
    """A file to write to, for what is too large for the memory; it replaces what was there."""
    system, path = locate(uri)
    return system.open_output_stream(path)
