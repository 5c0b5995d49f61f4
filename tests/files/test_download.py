"""Files over HTTP from a host on this machine: whole and verified, or not there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_host import Fault, ModelHost, Notes, blob_id, go_without_proxy, raw_host, serve

from bids_dtg.errors import DownloadError, OutputError
from bids_dtg.files.digest import Digest, read_digests
from bids_dtg.files.download import (
    SUMS_FILE,
    Patience,
    PinnedFile,
    obtain_file,
    require_network,
)

CONTENT = np.random.default_rng(0).bytes(700_000)
PINNED = PinnedFile.in_repository(
    "owner/models", "c" * 40, "sub/model.ckpt", blob_id=blob_id(CONTENT)
)
BLOCK = 1 << 14
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Talk to this machine itself."""
    go_without_proxy(monkeypatch)


@pytest.fixture
def host():
    return ModelHost()


@pytest.fixture
def address(host):
    with serve(host) as address:
        yield address


@pytest.fixture
def obtain(host, address, tmp_path):
    """Fetch `PINNED` from a host with these faults, without pauses between attempts."""

    def obtain(*faults, file=PINNED, hosts=None, **patience):
        host.add(CONTENT, file, *faults)
        patience = Patience(**{"pause_seconds": 0.0, **patience})
        fetched = obtain_file(file, tmp_path, hosts or [address], Notes(), patience=patience)
        return fetched.path

    return obtain


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ranges(host) -> list[str]:
    return [part for _, part in host.asked]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_the_file_is_fetched_and_kept_under_its_id(obtain, host, tmp_path, size):
    path = obtain(file=replace(PINNED, size=size))
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == [f"{blob_id(CONTENT)[:12]}-model.ckpt", SUMS_FILE]
    assert host.asked == [(f"/owner/models/{'c' * 40}/sub/model.ckpt", "")]


def test_what_is_there_is_verified_and_not_fetched_again(obtain, host, tmp_path):
    path = obtain()
    assert obtain() == path
    assert len(host.asked) == 1
    path.write_bytes(OTHER)
    assert obtain().read_bytes() == CONTENT
    assert len(host.asked) == 2


def test_blob_id_is_gits(tmp_path):
    # `git hash-object` of a file with "hello\n"; and of an empty one.
    (tmp_path / "a").write_bytes(b"hello\n")
    (tmp_path / "b").write_bytes(b"")
    for name, blob in [
        ("a", "ce013625030ba8dba906f756967f9e9ca394464a"),
        ("b", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    ]:
        assert read_digests(tmp_path / name, ["git"]) == {"git": Digest("git", blob)}


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (OTHER, "700000 bytes with git's blob id " + blob_id(OTHER)),
        (CONTENT[:-9], "699991 bytes with git's blob id"),  # truncated, and the host says so
        (CONTENT + b"\0", "700001 bytes with git's blob id"),  # padded
        (b"<html>Not here</html>", "21 bytes"),
        (b"", "0 bytes"),
    ],
)
def test_wrong_content_is_refused_with_both_ids(obtain, tmp_path, content, fact):
    with pytest.raises(DownloadError, match=fact) as caught:
        obtain(Fault(content=content))
    assert blob_id(CONTENT) in str(caught.value)
    assert "model.ckpt" in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("content", [CONTENT[:-9], CONTENT + b"\0"])
def test_a_wrong_size_is_refused_before_it_is_fetched(obtain, tmp_path, content):
    with pytest.raises(DownloadError, match=f"wrong size, {len(content)} bytes instead of 700000"):
        obtain(Fault(content=content), file=replace(PINNED, size=len(CONTENT)))
    assert left(tmp_path) == []


def test_a_body_without_length_ends_at_the_pinned_size(obtain, tmp_path):
    endless = Fault(content=CONTENT * 3, length=False)
    with pytest.raises(DownloadError, match="wrong size, more than 700000 bytes"):
        obtain(endless, file=replace(PINNED, size=len(CONTENT)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_no_file_is_larger_than_a_model(obtain):
    with pytest.raises(
        DownloadError, match="wrong size, 700000 bytes, more than any file that is fetched"
    ):
        obtain(largest_bytes=1000)
    with pytest.raises(DownloadError, match="wrong size, more than 1000 bytes"):
        obtain(Fault(length=False), largest_bytes=1000)


def test_a_cut_connection_is_resumed_where_it_broke(obtain, host):
    path = obtain(Fault(cut=6 * BLOCK), Fault(cut=10 * BLOCK + 7))
    assert path.read_bytes() == CONTENT
    assert ranges(host) == ["", f"bytes={6 * BLOCK}-", f"bytes={16 * BLOCK + 7}-"]


def test_a_connection_that_breaks_often_gets_there_in_the_end(obtain, host):
    assert obtain(*[Fault(cut=4 * BLOCK)] * 9).read_bytes() == CONTENT
    assert len(host.asked) == 10


def test_a_cut_body_without_length_is_resumed_where_the_size_is_pinned(obtain, host):
    cut = Fault(cut=6 * BLOCK, length=False)
    assert obtain(cut, file=replace(PINNED, size=len(CONTENT))).read_bytes() == CONTENT
    assert ranges(host) == ["", f"bytes={6 * BLOCK}-"]


def test_a_call_resumes_what_an_earlier_one_has_left(obtain, host, tmp_path, address):
    with pytest.raises(DownloadError, match="cannot be fetched"):
        obtain(*[Fault(cut=BLOCK)] + [Fault(cut=0)] * 9)
    assert left(tmp_path) == [f"{blob_id(CONTENT)[:12]}-model.ckpt.part"]
    host.faults.clear()
    host.asked.clear()
    assert obtain().read_bytes() == CONTENT
    assert ranges(host) == [f"bytes={BLOCK}-"]
    assert left(tmp_path) == [f"{blob_id(CONTENT)[:12]}-model.ckpt", SUMS_FILE]


def test_a_host_that_knows_no_ranges_sends_everything_again(obtain, host):
    assert obtain(Fault(cut=BLOCK), Fault(whole=True)).read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_refused(obtain):
    shifted = Fault(status=206)
    with pytest.raises(DownloadError, match="another part of the file than was asked for"):
        obtain(Fault(cut=BLOCK), shifted)


@pytest.mark.parametrize("start", [OTHER, CONTENT[1:5000], CONTENT + b"more", b"\0" * 10])
def test_a_wrong_start_is_fetched_again(obtain, host, tmp_path, start):
    (tmp_path / f"{PINNED.local_name}.part").write_bytes(start)
    assert obtain().read_bytes() == CONTENT
    assert ranges(host)[-1] == ""


def test_a_whole_partial_file_needs_no_more_bytes(obtain, host, tmp_path):
    (tmp_path / f"{PINNED.local_name}.part").write_bytes(CONTENT)
    assert obtain(file=replace(PINNED, size=len(CONTENT))).read_bytes() == CONTENT
    assert host.asked == []
    (tmp_path / PINNED.local_name).rename(tmp_path / f"{PINNED.local_name}.part")
    assert obtain().read_bytes() == CONTENT  # the host says that nothing is missing


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_host_is_asked_again(obtain, host, status):
    assert obtain(Fault(status), Fault(status)).read_bytes() == CONTENT
    assert len(host.asked) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_a_refusal_is_final(obtain, host, status):
    with pytest.raises(DownloadError, match=f"model.ckpt: HTTP {status}"):
        obtain(Fault(status), Fault())
    assert len(host.asked) == 1


def test_it_is_given_up_after_some_attempts_that_bring_nothing(obtain, host):
    with pytest.raises(DownloadError, match="HTTP 500"):
        obtain(*[Fault(500)] * 99)
    assert len(host.asked) == 4


def test_a_silent_host_is_left_and_asked_for_the_rest(obtain, host):
    assert obtain(Fault(stall=2.0), silent_seconds=0.3).read_bytes() == CONTENT
    assert ranges(host)[0] == ""
    assert int(ranges(host)[1].removeprefix("bytes=").removesuffix("-")) > 0


def test_a_redirect_is_followed_with_its_range(obtain, host, address):
    host.files["/elsewhere"] = CONTENT
    assert obtain(Fault(cut=BLOCK), Fault(302, f"{address}/elsewhere")).read_bytes() == CONTENT
    assert host.asked[-1] == ("/elsewhere", f"bytes={BLOCK}-")


@pytest.mark.parametrize(
    ("location", "fact"), [("file:///etc/passwd", "file:"), ("", "Exceeded 5 redirects")]
)
def test_a_redirect_to_nowhere_is_refused(obtain, address, location, fact):
    loop = location or f"{address}/{PINNED.location}"
    with pytest.raises(DownloadError, match=fact):
        obtain(*[Fault(302, loop)] * 40)


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "http://[x]/",
        "http://127.0.0.1:99999999/",
        "http://\xe9.example/",
        "http://..../",
    ],
)
def test_a_redirect_that_is_no_address_is_refused(obtain, location):
    with pytest.raises(DownloadError, match="cannot be fetched"):
        obtain(*[Fault(302, location)] * 40)


@pytest.mark.slow
@pytest.mark.parametrize("body", ["endless", "packed"])
def test_the_body_of_a_redirect_is_not_read(host, tmp_path, body):
    """requests reads it whole, and unpacks it: a few kilobytes would become gigabytes."""
    packed = gzip.compress(bytes(200 << 20), 1)
    with serve(ModelHost()) as behind:
        pass

    def flood(connection):
        head = b"HTTP/1.1 302 Found\r\nLocation: " + behind.encode() + b"/\r\n"
        if body == "packed":
            length = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
            connection.sendall(head + length.encode() + packed)
        connection.sendall(head + b"\r\n")
        while body == "endless":
            connection.sendall(bytes(1 << 16))

    tracemalloc.start()
    try:
        quick = Patience(pause_seconds=0.0, answer_seconds=3.0)
        with raw_host(flood) as address, pytest.raises(DownloadError, match="refused"):
            obtain_file(PINNED, tmp_path, [address], Notes(), patience=quick)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


def test_a_host_that_never_ends_what_follows_the_file_is_left(tmp_path):
    def trail(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        while True:
            connection.sendall(b"X-More: 1\r\n")
            time.sleep(0.01)

    quick = Patience(pause_seconds=0.0, answer_seconds=0.3)
    with raw_host(trail) as address, pytest.raises(DownloadError, match="no more of the file"):
        obtain_file(PINNED, tmp_path, [address], Notes(), patience=quick)


@pytest.mark.parametrize(
    "line", ["Content-Length: {}", "Content-Range: bytes {}-1/2"], ids=["length", "range"]
)
def test_a_number_that_python_does_not_read_is_refused(tmp_path, line):
    def answer(connection):
        head = "HTTP/1.1 206 Partial Content\r\n" + line.format("9" * 5000) + "\r\n\r\n"
        connection.sendall(head.encode() + CONTENT)

    with raw_host(answer) as address, pytest.raises(DownloadError, match="cannot be fetched"):
        obtain_file(PINNED, tmp_path, [address], Notes(), patience=Patience(pause_seconds=0.0))


def test_a_long_reason_is_shortened(tmp_path):
    def answer(connection):
        connection.sendall(b"HTTP/1.1 404 " + b"x" * 60_000 + b"\r\n\r\n")

    with raw_host(answer) as address, pytest.raises(DownloadError, match="HTTP 404 x") as caught:
        obtain_file(PINNED, tmp_path, [address], Notes(), patience=Patience(pause_seconds=0.0))
    assert len(str(caught.value)) < 1000


def test_an_encoded_answer_is_refused(obtain):
    with pytest.raises(DownloadError, match="an encoded answer"):
        obtain(Fault(headers={"Content-Encoding": "gzip"}))


def test_hosts_are_asked_in_order_and_named_when_all_fail(obtain, host, address, tmp_path):
    with serve(ModelHost()) as empty:
        assert obtain(hosts=[empty, address]).read_bytes() == CONTENT
        (tmp_path / PINNED.local_name).unlink()
        with pytest.raises(DownloadError) as caught:
            obtain(Fault(content=OTHER), hosts=[empty, address])
    message = str(caught.value)
    assert f"{empty}/{PINNED.location}: HTTP 404" in message
    assert f"{address}/{PINNED.location}: wrong content" in message


def test_wrong_bytes_of_one_host_do_not_spoil_the_next(obtain, host, address):
    liar = ModelHost()
    liar.add(OTHER, PINNED, Fault(cut=BLOCK), *[Fault(500)] * 9)
    with serve(liar) as mirror:
        assert obtain(hosts=[mirror, address]).read_bytes() == CONTENT


def test_a_host_that_is_not_there_is_named_with_the_cause(obtain):
    with serve(ModelHost()) as gone:
        pass
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+/owner/.*[Cc]onnection refused"):
        obtain(hosts=[gone])


def test_a_proxy_is_used(obtain, host, address, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("http_proxy", address)
    assert obtain(hosts=["http://models.example"]).read_bytes() == CONTENT
    assert host.asked[0][0] == f"http://models.example/{PINNED.location}"


@pytest.mark.parametrize("kept", [0, 1])
def test_a_full_disk_is_told_and_what_is_there_is_kept(obtain, host, tmp_path, monkeypatch, kept):
    real = Path.open
    left_writes = iter(range(kept))

    class Full:
        def __init__(self, stream):
            self._stream, self.truncate = stream, stream.truncate

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._stream.close()

        def write(self, block):
            if next(left_writes, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._stream.write(block)

    def opened(path, mode="r", *more, **options):
        stream = real(path, mode, *more, **options)
        return Full(stream) if path.suffix == ".part" and "a" in mode else stream

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OutputError, match=f"model.ckpt cannot be kept in {tmp_path}: No space"):
        obtain()
    monkeypatch.setattr(Path, "open", real)
    assert obtain().read_bytes() == CONTENT
    first, again = ranges(host)
    assert first == ""
    assert (again != "") == bool(kept)


def test_progress_counts_from_the_resumed_byte(host, address, tmp_path):
    host.add(CONTENT, PINNED, Fault(cut=300_000))
    notes = Notes()
    obtain_file(PINNED, tmp_path, [address], notes)
    assert notes.files == ["model.ckpt"]
    done = [size for size, _ in notes.sizes]
    assert done == sorted(done)
    assert notes.sizes[-1] == (len(CONTENT), len(CONTENT))


def test_the_first_verified_copy_binds_all_later_ones_by_sha256(obtain, host, tmp_path):
    sums, sha256 = tmp_path / SUMS_FILE, hashlib.sha256(CONTENT).hexdigest()
    kept = obtain()
    assert sums.read_text() == f"{sha256}  {kept.name}\n"
    # As if the first copy had been another file with the same SHA-1.
    sums.write_text(f"{'0' * 64}  {kept.name}\n")
    with pytest.raises(DownloadError, match=f"wrong content, 700000 bytes with SHA-256 {sha256}"):
        obtain()
    assert not kept.exists()
    assert sums.read_text().startswith("0" * 64)


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"0123  model.ckpt\n", b"x" * 5000])
def test_a_damaged_record_counts_as_none(obtain, tmp_path, content):
    (tmp_path / SUMS_FILE).write_bytes(content)
    assert obtain().read_bytes() == CONTENT
    assert hashlib.sha256(CONTENT).hexdigest() in (tmp_path / SUMS_FILE).read_text()


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_other_digests_pin_as_well(obtain, algorithm):
    right = Digest(algorithm, hashlib.new(algorithm, CONTENT).hexdigest())
    file = PinnedFile("folder/field.h5", right, size=len(CONTENT))
    assert obtain(file=file).read_bytes() == CONTENT
    wrong = replace(file, digest=Digest(algorithm, "0" * len(right.hexadecimal)))
    with pytest.raises(DownloadError, match=f"wrong content, 700000 bytes with {right}"):
        obtain(file=wrong)


SLOW = {"least_bytes_per_second": 2000.0, "pace_seconds": 0.3}


def test_a_host_that_drips_is_left_for_the_next_one(obtain, host, address):
    slow = ModelHost()
    slow.add(CONTENT, PINNED, Fault(drip=0.01))
    began = time.monotonic()
    with serve(slow) as drips:
        with pytest.raises(DownloadError, match=r"too slow, \d+ bytes in 0 s, less than 2000"):
            obtain(hosts=[drips], **SLOW)
        assert time.monotonic() - began < 10
        assert obtain(hosts=[drips, address], **SLOW).read_bytes() == CONTENT


def test_a_host_that_breaks_after_each_byte_is_left(obtain, host):
    with pytest.raises(DownloadError, match="too slow"):
        obtain(*[Fault(cut=1)] * 2000, **SLOW)


def test_a_host_whose_header_never_ends_is_left(obtain):
    with pytest.raises(DownloadError, match=r"no answer within 0\.3 s"):
        obtain(Fault(slow_header=0.02), answer_seconds=0.3)


@pytest.mark.slow
def test_a_host_that_thinks_first_is_not_called_slow(obtain):
    """As a proxy that looks through the file before it hands it on."""
    patience = {"least_bytes_per_second": 200_000.0, "pace_seconds": 0.3}
    assert obtain(Fault(wait=0.6), **patience).read_bytes() == CONTENT


def test_a_fast_host_is_not_called_slow(obtain):
    patience = {"least_bytes_per_second": 1000.0, "pace_seconds": 0.0001}
    assert obtain(**patience).read_bytes() == CONTENT


def test_hosts_that_are_silent_or_away_are_no_network():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes calls and never answers
        hosts = [f"http://127.0.0.1:{silent.getsockname()[1]}", "http://bobby:s3cret@127.0.0.1:9"]
        with pytest.raises(
            DownloadError,
            match=r"model\.ckpt cannot be fetched: http://127.*(no answer within|timed out)"
            r".*:9/\S+: .*refused.*check the network",
        ) as caught:
            require_network(PINNED, hosts, seconds=0.3)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("fault", [Fault(), Fault(404), Fault(503)])
def test_any_answer_of_one_host_shows_a_network(host, address, fault):
    host.add(CONTENT, PINNED, fault)
    require_network(PINNED, ["http://127.0.0.1:9", address], seconds=30)


@pytest.fixture
def secure(tmp_path_factory, monkeypatch):
    """Return what makes a server of this machine speak TLS, with a certificate that is trusted."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
    ]
    named = ["subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *words, *named], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_no_redirect_leads_from_https_to_http(obtain, address, secure):
    careless = ModelHost()
    with serve(careless, secure) as https:
        careless.add(CONTENT, PINNED)
        assert obtain(hosts=[https]).read_bytes() == CONTENT
        other = replace(PINNED, location="owner/other")
        careless.add(CONTENT, other, Fault(302, f"{address}/{PINNED.location}?token=s3cret"))
        with pytest.raises(DownloadError, match="a redirect from https to http:") as caught:
            obtain(hosts=[https], file=other)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "mirror",
    [
        "http://bobby:s3cret@{}",
        "http://{}/x?token=s3cret&y=",
        "http://bobby:s3cret@127.0.0.1:1",
        "http://bobby:s3cret@",
        "https://bobby:s3cret@{}",
        "http://bobby:s3cret@[::1",
        "ftp://bobby:s3cret@{}",
    ],
)
def test_no_secret_of_an_address_is_named(host, address, mirror, tmp_path):
    host.files.clear()
    bare = mirror.format(address.removeprefix("http://"))
    missing = replace(PINNED, location="owner/missing")
    with pytest.raises(DownloadError, match="cannot be fetched") as caught:
        obtain_file(missing, tmp_path, [bare], Notes(), patience=Patience(pause_seconds=0.0))
    assert "s3cret" not in str(caught.value)
    assert "bobby" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["http://bobby:s3cret@127.0.0.1:1", "bobby:s3cret@[", "x://s3cret@h"]
)
def test_no_secret_of_a_proxy_is_named(obtain, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(DownloadError) as caught:
        obtain(hosts=["http://models.example"])
    assert "s3cret" not in str(caught.value)
