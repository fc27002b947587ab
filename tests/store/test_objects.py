"""Object stores: what can go wrong on the way, and what is told of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from swath.errors import ConfigError, ForbiddenError, NotFoundError, StoreError, ThrottledError
from swath.store import connect, join, open_store
from swath.store.options import store_options
from swath.store.transfer import PART_BYTES

ACTIONS = ("stat", "read", "list", "write", "create", "delete", "stats")
S3_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>told why</Message></Error>"


def act(action: str, uri: str) -> object:
    store = open_store(uri)
    if action == "list":
        return list(store.list(uri))
    if action == "stats":
        return store.stats(uri, ["a"])
    if action in ("write", "create"):
        return getattr(store, action)(uri, b"x")
    return getattr(store, action)(uri)


@pytest.fixture
def told(web, monkeypatch, impatient):
    """Return a function that has every request answered alike, and returns an object's URI."""

    def answer(status: int, code: str = "") -> str:
        web.always = (status, S3_ERROR.format(code) if code else "")
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-that-is-public")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-that-is-secret")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        return "s3://bucket/folder/a"

    return answer


@pytest.mark.parametrize("action", ACTIONS)
def test_hazard_what_may_not_be_used_is_not_reported_as_missing(told, action):
    """S3 permission errors were reported as "does not exist"."""
    with pytest.raises(ForbiddenError, match=r"s3://bucket/folder/a.* access is denied") as caught:
        act(action, told(403, "AccessDenied"))
    assert "credentials" in str(caught.value)


def test_exists_does_not_take_a_refusal_for_a_no(told):
    with pytest.raises(ForbiddenError):
        act("exists", told(403))


@pytest.mark.parametrize("action", ["stat", "list", "create"])
def test_who_asks_to_come_slower_is_told_from_who_forbids(told, action):
    with pytest.raises(ThrottledError, match=r"s3://bucket/folder/a.* slower") as caught:
        act(action, told(503, "SlowDown"))
    assert "store.patience_s" in str(caught.value)


@pytest.mark.parametrize("action", ["read", "list", "write", "create"])
def test_a_failing_service_is_none_of_the_three(told, web, action):
    with pytest.raises(StoreError, match="500") as caught:
        act(action, told(500, "InternalError"))
    assert type(caught.value) is StoreError
    assert len(web.seen) > 3, "it was tried again"


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (404, "NoSuchBucket", NotFoundError, "its bucket does not exist.*make it"),
        (404, "NoSuchKey", NotFoundError, "there is no s3://bucket/folder/a"),
        (400, "ExpiredToken", ForbiddenError, "no valid credentials.*Log in again"),
        (301, "PermanentRedirect", StoreError, "another region.*AWS_REGION"),
        (429, "", ThrottledError, "slower"),
        (400, "InvalidRequest", StoreError, "InvalidRequest"),
    ],
)
def test_what_a_service_answers_is_told_in_our_words(told, web, status, code, kind, message):
    with pytest.raises(kind, match=message):
        act("read", told(status, code))
    if kind is not ThrottledError:
        assert len(web.seen) == 1, "to try again would not help"


@pytest.mark.parametrize("action", ["read", "list"])
@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (403, ForbiddenError), (429, ThrottledError)]
)
@pytest.mark.parametrize("uri", ["gs://bucket/folder/a", "az://bucket/folder/a"])
def test_other_clouds_say_it_in_the_same_words(told, web, monkeypatch, uri, status, kind, action):
    told(status)
    monkeypatch.setenv("GOOGLE_BASE_URL", web.url)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "key-that-is-secret")
    monkeypatch.setenv("AZURE_ENDPOINT", web.url)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5LXRoYXQtaXMtc2VjcmV0")
    with pytest.raises(kind, match=uri) as caught:
        act(action, uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["SlowDown", "credentials", "AccessDenied", "NoSuchBucket"])
def test_what_an_object_is_called_does_not_count(told, web, name):
    told(500, "InternalError")
    with pytest.raises(StoreError) as caught:
        act("read", f"s3://bucket/{name}/connection timed out")
    assert type(caught.value) is StoreError
    told(403, "")
    with pytest.raises(ForbiddenError):
        act("read", f"s3://bucket/{name}")


def test_no_secret_is_told(told):
    with pytest.raises(StoreError) as caught:
        act("read", told(400, "InvalidRequest"))
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(open_store("s3://bucket/a").__dict__)


def test_a_service_that_is_not_there_is_named(monkeypatch, impatient, s3_bucket):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1.*Check the network and the endpoint"):
        act("read", "s3://bucket/a")


def test_without_credentials_it_is_told_how_to_get_some(s3_bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match=r"no AWS credentials.*store\.anonymous"):
        open_store("s3://bucket/a")


def test_credentials_that_cannot_be_renewed_are_told(s3_bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "config").write_text("[profile mine]\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(ConfigError, match=r"s3://bucket: the AWS credentials cannot be used.*Log"):
        open_store("s3://bucket/a")


def test_anonymous_requests_are_not_signed(told, web, monkeypatch):
    uri = told(404)
    for anonymous in ("no", "yes"):
        monkeypatch.setenv("SWATH_STORE_ANONYMOUS", anonymous)
        with pytest.raises(NotFoundError):
            act("read", uri)
    signed = ["authorization" in headers for _, _, headers in web.seen]
    assert signed == [True, False]


def test_requester_pays_is_told_with_every_request(told, web, monkeypatch):
    monkeypatch.setenv("SWATH_STORE_REQUESTER_PAYS", "yes")
    for action in ("read", "stat", "list"):
        with pytest.raises(StoreError):
            act(action, told(404))
    assert [headers["x-amz-request-payer"] for _, _, headers in web.seen] == ["requester"] * 3


def test_a_profile_gives_keys_and_region(told, web, monkeypatch, tmp_path):
    uri = told(404)
    (tmp_path / "credentials").write_text(
        "[mine]\naws_access_key_id = of-the-profile\naws_secret_access_key = x\n"
    )
    (tmp_path / "config").write_text("[profile mine]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("SWATH_AWS_PROFILE", "mine")
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(NotFoundError):
        act("read", uri)
    assert "of-the-profile" in web.seen[0][2]["authorization"]
    assert "/ap-south-1/s3/" in web.seen[0][2]["authorization"]


@pytest.mark.parametrize("fault", ["error", "slow_down", "refused", "lost", "cut"])
def test_every_kind_of_fault_is_survived(faulty_s3, fault, tmp_path):
    proxy, root = faulty_s3(share=0.3, faults=(fault,), seed=3)
    store = open_store(root)
    items = [(join(root, "many", str(i)), os.urandom(3000)) for i in range(30)]
    store.write_many(items)
    assert list(store.read_many(uri for uri, _ in items)) == items
    assert len(list(store.list(join(root, "many")))) == 30
    store.copy(items[0][0], join(root, "copy"))
    assert store.read(join(root, "copy")) == items[0][1]
    store.delete(join(root, "many"))
    assert [name for name, _ in store.list(root)] == ["copy"]
    assert proxy.counts()[fault] > 5


def test_a_claim_is_given_once_though_answers_are_lost(faulty_s3):
    """A repeated request finds the object that the lost one made, and knows it for its own."""
    proxy, root = faulty_s3(share=0.35, faults=("lost", "lost", "refused"), seed=5)
    store = open_store(root)
    for claim in range(6):
        uri = join(root, str(claim))
        with ThreadPoolExecutor(3) as pool:
            assert sum(pool.map(lambda uri: store.create(uri, b"same bytes"), [uri] * 3)) == 1
    assert proxy.counts()["lost"] > 2


def test_large_files_go_in_parts_that_fail_one_by_one(faulty_s3, tmp_path):
    proxy, root = faulty_s3(share=0.2, seed=11)
    content = os.urandom(2 * PART_BYTES + 12_345)
    store, file, uri = open_store(root), tmp_path / "large", join(root, "large")
    file.write_bytes(content)
    store.put(file, uri)
    assert not file.exists()
    store.get(uri, file)
    assert file.read_bytes() == content
    ranges = [each for each in proxy.seen() if "range" in each.headers]
    uploads = [each for each in proxy.seen() if "partNumber" in each.path]
    assert len(ranges) >= 3
    assert len(uploads) >= 3
    assert sum(proxy.counts().values()) > proxy.counts()["none"]


def test_an_object_that_changes_while_it_is_fetched_is_never_mixed(
    s3_bucket, web, tmp_path, monkeypatch
):
    """Each part is asked for by the ETag of the first answer; then all begins anew."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
    old, new = (bytes([i]) * (2 * PART_BYTES + 100) for i in (1, 2))
    web.files["/bucket/a"] = old
    web.after["/bucket/a"] = lambda: web.files.update({"/bucket/a": new})
    open_store("s3://bucket/a").get("s3://bucket/a", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == new
    assert len(web.requests("/bucket/a")) >= 5


def test_a_folder_is_listed_when_many_are_asked_for_and_few_are_not(faulty_s3):
    proxy, root = faulty_s3(share=0)
    store = open_store(root)
    store.write(join(root, "1"), b"")
    proxy.forget()
    assert list(store.stats(root, map(str, range(1000)))) == ["1"]
    assert [each.method for each in proxy.seen()] == ["GET"]
    proxy.forget()
    assert list(store.stats(root, ["1", "2"])) == ["1"]
    assert [each.method for each in proxy.seen()] == ["HEAD", "HEAD"]


def test_folders_below_are_not_listed_for_files_of_a_folder(faulty_s3):
    proxy, root = faulty_s3(share=0)
    store = open_store(root)
    store.write_many((join(root, "below", str(i)), b"") for i in range(30))
    store.write_many((join(root, str(i)), b"") for i in range(30))
    proxy.forget()
    assert len(store.stats(root, map(str, range(40)))) == 30
    (asked,) = proxy.seen()
    assert "delimiter=%2F" in asked.path


def test_a_folder_is_deleted_in_bulk(faulty_s3):
    proxy, root = faulty_s3(share=0)
    store = open_store(root)
    store.write_many((join(root, str(i)), b"") for i in range(50))
    proxy.forget()
    store.delete(root)
    assert len(proxy.seen()) <= 4
    assert list(store.list(root)) == []


def test_a_fork_is_told_that_it_cannot_use_the_store_instead_of_waiting_forever(s3_bucket):
    program = f"""
import os
from swath.errors import StoreError
from swath.store import open_store
uri = "s3://{s3_bucket}/a"
open_store(uri).write(uri, b"x")
if os.fork() == 0:
    try:
        open_store(uri).read(uri)
    except StoreError as error:
        os._exit(7 if "spawn" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout == "7\n"


# ------------------------------------------------------------------ servers that say nothing


@pytest.fixture
def silent(monkeypatch, impatient):
    """Return an object of an S3 that takes every request and never answers."""
    monkeypatch.setattr(connect, "QUICK_S", 0.1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key-that-is-public")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield "s3://bucket/folder/a"


@pytest.mark.parametrize("action", ACTIONS)
def test_small_request_is_given_up_soon_where_nobody_answers(silent, action):
    with pytest.raises(StoreError, match="s3://bucket/folder"):
        act(action, silent)


def test_bulk_may_be_silent_for_longer(silent):
    options = store_options()
    clients = [connect.connect("s3://bucket", options, is_bulk=bulk) for bulk in (False, True)]
    told = [client.client_options["read_timeout"] for client in clients]
    assert told == ["100ms", "5m"]
