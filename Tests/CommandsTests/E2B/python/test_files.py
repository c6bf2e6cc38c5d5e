"""Files, folders, watching and signed URLs."""

import io
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from e2b import FilesystemEventType, FileType, NotFoundException, Sandbox
from e2b.exceptions import InvalidArgumentException, SandboxException
from e2b.sandbox.filesystem.filesystem import WriteEntry


def test_what_is_written_can_be_read(sandbox: Sandbox) -> None:
    written = sandbox.files.write("a folder/hello ü.txt", "hello")
    assert written.path == "/home/user/a folder/hello ü.txt"
    assert sandbox.files.read("a folder/hello ü.txt") == "hello"
    assert bytes(sandbox.files.read(written.path, format="bytes")) == b"hello"
    assert b"".join(sandbox.files.read(written.path, format="stream")) == b"hello"
    sandbox.files.write(written.path, b"\x00\xff" * 70_000)
    assert bytes(sandbox.files.read(written.path, format="bytes")) == b"\x00\xff" * 70_000
    sandbox.files.write("/tmp/from-object", io.BytesIO(b"object"))
    assert sandbox.files.read("/tmp/from-object") == "object"
    sandbox.files.write("empty", "")
    assert sandbox.files.read("empty") == ""


def test_many_files_at_once(sandbox: Sandbox) -> None:
    entries = [WriteEntry(path=f"many/{n}.txt", data=f"content {n}") for n in range(20)]
    written = (
        sandbox.files.write_files(entries) if hasattr(sandbox.files, "write_files") else sandbox.files.write(entries)
    )
    assert [entry.path for entry in written] == [f"/home/user/many/{n}.txt" for n in range(20)]
    assert sandbox.files.read("many/7.txt") == "content 7"
    assert sorted(entry.name for entry in sandbox.files.list("many")) == sorted(f"{n}.txt" for n in range(20))


def test_listing_looking_renaming_removing(sandbox: Sandbox) -> None:
    assert sandbox.files.make_dir("one/two") is True
    assert sandbox.files.make_dir("one/two") is False
    sandbox.files.write("one/file", "12345")
    entries = {entry.name: entry for entry in sandbox.files.list("one")}
    assert entries["two"].type == FileType.DIR and entries["file"].type == FileType.FILE
    assert {entry.path for entry in sandbox.files.list("/home/user/one", depth=2)} >= {"/home/user/one/two"}
    info = sandbox.files.get_info("one/file")
    assert (info.size, info.owner, info.permissions) == (5, "user", "-rw-r--r--")
    assert sandbox.files.rename("one/file", "one/renamed").path == "/home/user/one/renamed"
    assert not sandbox.files.exists("one/file") and sandbox.files.exists("one/renamed")
    sandbox.files.remove("one")
    assert not sandbox.files.exists("one")
    sandbox.commands.run("ln -s /etc/passwd link")
    assert sandbox.files.get_info("link").symlink_target == "/etc/passwd"


def test_what_is_missing_is_not_found(sandbox: Sandbox) -> None:
    for call in (
        lambda: sandbox.files.read("missing"),
        lambda: sandbox.files.list("missing"),
        lambda: sandbox.files.get_info("missing"),
        lambda: sandbox.files.rename("missing", "elsewhere"),
        lambda: sandbox.files.watch_dir("missing"),
    ):
        with pytest.raises(NotFoundException):
            call()
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read("/home/user")
    sandbox.files.write("plain", "x")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.list("plain")


def events(handle: object, wanted: int) -> list[object]:
    found: list[object] = []
    limit = time.monotonic() + 20
    while len(found) < wanted:
        assert time.monotonic() < limit, found
        found += handle.get_new_events()
    return found


def test_watching(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("watched")
    handle = sandbox.files.watch_dir("watched")
    sandbox.files.write("watched/new.txt", "content")
    seen = events(handle, 3)
    assert [(event.name, event.type) for event in seen[:3]] == [
        ("new.txt", FilesystemEventType.CREATE),
        ("new.txt", FilesystemEventType.CHMOD),
        ("new.txt", FilesystemEventType.WRITE),
    ]
    sandbox.files.remove("watched/new.txt")
    assert events(handle, 1)[0].type == FilesystemEventType.REMOVE
    handle.stop()
    with pytest.raises(SandboxException):
        handle.get_new_events()


def test_watching_below(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("deep/inner")
    handle = sandbox.files.watch_dir("deep", recursive=True)
    sandbox.files.write("deep/inner/new.txt", "content")
    assert {event.name for event in events(handle, 3)} == {"inner/new.txt"}
    handle.stop()


def test_signed_urls(sandbox: Sandbox) -> None:
    sandbox.files.write("signed.txt", "for you")
    url = sandbox.download_url("signed.txt")
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["signature"][0].startswith("v1_")
    assert fetch(url) == b"for you"
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(url.replace("signed.txt", "other.txt"))
    assert refused.value.code in (401, 404)
    short = sandbox.download_url("signed.txt", use_signature_expiration=60)
    assert fetch(short) == b"for you"
    with pytest.raises(urllib.error.HTTPError):
        fetch(sandbox.download_url("signed.txt", use_signature_expiration=-60))
    boundary = "boundary"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nuploaded\r\n--{boundary}--\r\n'
    request = urllib.request.Request(sandbox.upload_url("up.txt"), part.encode(), method="POST")
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    with opened(request) as reply:
        assert reply.status == 200
    assert sandbox.files.read("up.txt") == "uploaded"


def fetch(url: str) -> bytes:
    with opened(urllib.request.Request(url)) as reply:
        content: bytes = reply.read()
    return content


def opened(request: urllib.request.Request) -> object:
    """Opens a URL whose host, below `.localhost`, the system's resolver does not know."""
    parts = urllib.parse.urlsplit(request.full_url)
    host = parts.netloc
    name = parts.hostname or ""
    if not name.endswith(".localhost"):
        return urllib.request.urlopen(request)
    import http.client
    import ssl

    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(name, parts.port, context=context)
    import socket

    plain = socket.create_connection(("127.0.0.1", parts.port))
    connection.sock = context.wrap_socket(plain, server_hostname=name)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.request(
        request.get_method(),
        target,
        request.data,
        {**dict(request.header_items()), "Host": host},
    )
    reply = connection.getresponse()
    if reply.status >= 400:
        raise urllib.error.HTTPError(request.full_url, reply.status, reply.reason, reply.headers, None)
    return reply


def test_metadata_of_files(sandbox: Sandbox) -> None:
    sandbox.files.write("m.txt", "x", metadata={"kind": "letter"})
    assert sandbox.files.get_info("m.txt").metadata == {"kind": "letter"}


def test_compressed_uploads(sandbox: Sandbox) -> None:
    sandbox.files.write("z.txt", "z" * 100_000, gzip=True)
    assert sandbox.files.read("z.txt", gzip=True) == "z" * 100_000


def test_ten_megabytes_there_and_back(sandbox: Sandbox) -> None:
    content = bytes(range(256)) * 40_960
    sandbox.files.write("large", content)
    assert bytes(sandbox.files.read("large", format="bytes")) == content
