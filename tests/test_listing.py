"""ListObjects, ListObjectsV2, ListObjectVersions: order, delimiters, paging, encoding."""

import os
import random
from collections import Counter

import pytest
from harness.clients import refused
from harness.sums import etag

KEYS = ["a", "a/", "a/1", "a/2/x", "a/2/y", "a//", "a0", "b", "b/c", "é/x", "é/y", "z/1", "z/2", "日/本", "🦆"]


@pytest.fixture(scope="module")
def filled(s3):
    name = f"listing-{os.getpid()}"
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def expected(keys, prefix="", delimiter=None, after=""):
    """The model: (kind, name) in the order of UTF-8 bytes."""
    seen = []
    for key in sorted(keys, key=lambda k: k.encode()):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = ("key", key) if cut < 0 else ("prefix", key[: cut + len(delimiter)])
        if entry[1].encode() <= after.encode() and not (entry[0] == "prefix" and not after.startswith(entry[1])):
            continue
        if entry not in seen:
            seen.append(entry)
    return seen


def entries(page):
    got = [("key", o["Key"]) for o in page.get("Contents", [])]
    got += [("prefix", p["Prefix"]) for p in page.get("CommonPrefixes", [])]
    return sorted(got, key=lambda e: e[1].encode())


FILTERS = [
    {},
    {"Prefix": "a"},
    {"Prefix": "a/"},
    {"Prefix": "none"},
    {"Delimiter": "/"},
    {"Delimiter": "/", "Prefix": "a"},
    {"Delimiter": "/", "Prefix": "a/"},
    {"Delimiter": "/", "Prefix": "a/2"},
    {"Delimiter": "/x"},
    {"Delimiter": "é"},
    {"Delimiter": "a/"},
]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_v2_pages(s3, filled, filters, size):
    want = expected(KEYS, filters.get("Prefix", ""), filters.get("Delimiter"))
    got, token = [], {}
    for _ in range(len(KEYS) + 2):
        page = s3.list_objects_v2(Bucket=filled, MaxKeys=size, **filters, **token)
        assert page["KeyCount"] == len(entries(page)) <= size
        assert page["MaxKeys"] == size and page["Name"] == filled
        got += entries(page)
        assert page["IsTruncated"] == ("NextContinuationToken" in page)
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert got == want


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_v1_pages(s3, filled, filters, size):
    want = expected(KEYS, filters.get("Prefix", ""), filters.get("Delimiter"))
    got, marker = [], {}
    for _ in range(len(KEYS) + 2):
        page = s3.list_objects(Bucket=filled, MaxKeys=size, **filters, **marker)
        got += entries(page)
        if not page["IsTruncated"]:
            break
        # NextMarker comes only with a delimiter; without one the last key is the marker (API reference).
        if "Delimiter" in filters:
            marker = {"Marker": page["NextMarker"]}
        else:
            assert "NextMarker" not in page
            marker = {"Marker": page["Contents"][-1]["Key"]}
    assert got == want


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_version_pages_of_an_unversioned_bucket(s3, filled, filters, size):
    want = expected(KEYS, filters.get("Prefix", ""), filters.get("Delimiter"))
    got, marker = [], {}
    for _ in range(len(KEYS) + 2):
        page = s3.list_object_versions(Bucket=filled, MaxKeys=size, **filters, **marker)
        found = [("key", v["Key"]) for v in page.get("Versions", [])]
        assert all(v["VersionId"] == "null" and v["IsLatest"] for v in page.get("Versions", []))
        found += [("prefix", p["Prefix"]) for p in page.get("CommonPrefixes", [])]
        got += sorted(found, key=lambda e: e[1].encode())
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            marker["VersionIdMarker"] = page["NextVersionIdMarker"]
    assert got == want


@pytest.mark.parametrize("after", ["a", "a/", "a/1", "a/3", "b", "é", "zz", "🦆", "\U0010ffff"])
def test_start_after_and_marker(s3, filled, after):
    want = [key for key in sorted(KEYS, key=str.encode) if key.encode() > after.encode()]
    v2 = s3.list_objects_v2(Bucket=filled, StartAfter=after)
    assert [o["Key"] for o in v2.get("Contents", [])] == want
    assert v2["StartAfter"] == after
    v1 = s3.list_objects(Bucket=filled, Marker=after)
    assert [o["Key"] for o in v1.get("Contents", [])] == want
    assert v1["Marker"] == after


@pytest.mark.parametrize("marker, want", [
    ("a/", [("key", "a0"), ("key", "b"), ("prefix", "b/"), ("prefix", "z/"), ("prefix", "é/"), ("prefix", "日/"), ("key", "🦆")]),
    ("b/", [("prefix", "z/"), ("prefix", "é/"), ("prefix", "日/"), ("key", "🦆")]),
])  # fmt: skip
def test_a_marker_that_is_a_common_prefix_skips_it(s3, filled, marker, want):
    assert entries(s3.list_objects(Bucket=filled, Delimiter="/", Marker=marker)) == want


def test_token_beats_start_after(s3, filled):
    first = s3.list_objects_v2(Bucket=filled, MaxKeys=3)
    again = s3.list_objects_v2(Bucket=filled, ContinuationToken=first["NextContinuationToken"], StartAfter="zzz")
    assert [o["Key"] for o in again["Contents"]] == sorted(KEYS, key=str.encode)[3:]


def test_fields(s3, raw, filled):
    one = s3.list_objects_v2(Bucket=filled, Prefix="a/1")["Contents"][0]
    assert (one["Key"], one["Size"], one["ETag"], one["StorageClass"]) == ("a/1", 3, etag(b"a/1"), "STANDARD")
    assert "Owner" not in one
    owned = s3.list_objects_v2(Bucket=filled, Prefix="a/1", FetchOwner=True)["Contents"][0]
    assert owned["Owner"]["ID"]
    assert s3.list_objects(Bucket=filled, Prefix="a/1")["Contents"][0]["Owner"]["ID"]


def test_listed_checksum(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (["SHA256"], "FULL_OBJECT")


def test_encoding_type_url(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a b/ü+&x", Body=b"")
    plain = raw.request("GET", f"/{bucket}", "list-type=2")
    assert plain.xml.findtext("Contents/Key") == "a b/ü+&x"
    assert plain.xml.find("EncodingType") is None
    coded = raw.request("GET", f"/{bucket}", "encoding-type=url&list-type=2&prefix=a%20b%2F&delimiter=%26")
    assert coded.xml.findtext("EncodingType") == "url"
    assert coded.xml.findtext("Prefix") in ("a+b/", "a%20b/")
    assert coded.xml.findtext("CommonPrefixes/Prefix") in ("a+b/%C3%BC%2B%26", "a%20b/%C3%BC%2B%26")


def test_xml_is_escaped(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key='<Key>&"\'', Body=b"")
    got = raw.request("GET", f"/{bucket}", "list-type=2")
    assert got.xml.findtext("Contents/Key") == '<Key>&"\''
    assert got.headers["content-type"] == "application/xml"


@pytest.mark.parametrize(
    "query, code",
    [
        ("max-keys=-1", "InvalidArgument"),
        ("max-keys=x", "InvalidArgument"),
        ("max-keys=99999999999", "InvalidArgument"),
        ("encoding-type=base64", "InvalidArgument"),
        ("continuation-token=", "InvalidArgument"),
        ("continuation-token=%21bad", "InvalidArgument"),
    ],
)
def test_bad_parameters(raw, filled, query, code):
    got = raw.request("GET", f"/{filled}", f"list-type=2&{query}")
    assert (got.status, got.code) == (400, code), got


def test_max_keys(s3, filled):
    none = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"], none.get("Contents")) == (0, False, None)
    assert s3.list_objects_v2(Bucket=filled, MaxKeys=5000)["MaxKeys"] == 1000


def test_more_than_a_page(s3, bucket):
    from concurrent.futures import ThreadPoolExecutor

    keys = [f"d{n % 7}/{n:05}" for n in range(1203)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: s3.put_object(Bucket=bucket, Key=k, Body=b""), keys))
    first = s3.list_objects_v2(Bucket=bucket)
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)
    second = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert (second["KeyCount"], second["IsTruncated"]) == (203, False)
    assert [o["Key"] for o in first["Contents"] + second["Contents"]] == sorted(keys)
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in folders["CommonPrefixes"]] == [f"d{n}/" for n in range(7)]


def test_random_keys_against_the_model(s3, bucket):
    seed = int(os.environ.get("MILLPOND_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"rerun with MILLPOND_SEED={seed}")
    rng = random.Random(seed)
    alphabet = ["a", "b", "/", "-", ".", "é", "\u07ff", "\u0800", "\uffff", "\U00010000", "🦆", " ", "%", "+"]
    alphabet.remove("\uffff")  # not a character of XML 1.0
    keys = {"".join(rng.choices(alphabet, k=rng.randint(1, 8))) for _ in range(120)}
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for _ in range(40):
        prefix = rng.choice(["", rng.choice(sorted(keys))[: rng.randint(0, 3)]])
        delimiter = rng.choice([None, "/", "-", "a", "é", "🦆", "ab"])
        filters = {"Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
        size = rng.choice([1, 2, 7, 50, 1000])
        got = []
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size}, **filters)
        for page in pages:
            got += entries(page)
        assert got == expected(keys, prefix, delimiter), (filters, size)
        after = rng.choice(sorted(keys))
        listed = s3.list_objects_v2(Bucket=bucket, StartAfter=after, **({"Prefix": prefix} if prefix else {}))
        want = [k for k in sorted(keys, key=str.encode) if k.startswith(prefix) and k.encode() > after.encode()]
        assert [o["Key"] for o in listed.get("Contents", [])] == want


def test_listing_versions(s3, versioned):
    ids: dict[str, list[str]] = {}
    for key in ("b", "a", "c/1"):
        for n in range(3):
            ids.setdefault(key, []).insert(0, s3.put_object(Bucket=versioned, Key=key, Body=str(n).encode())["VersionId"])
    ids["a"].insert(0, s3.delete_object(Bucket=versioned, Key="a")["VersionId"])
    want = [(key, version) for key in sorted(ids) for version in ids[key]]
    for size in (1, 2, 4, 1000):
        got, latest, marker = [], Counter(), {}
        for _ in range(12):
            page = s3.list_object_versions(Bucket=versioned, MaxKeys=size, **marker)
            found = page.get("Versions", []) + page.get("DeleteMarkers", [])
            assert len(found) <= size
            found.sort(key=lambda v: want.index((v["Key"], v["VersionId"])))
            got += [(v["Key"], v["VersionId"]) for v in found]
            latest.update(v["Key"] for v in found if v["IsLatest"])
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
        assert got == want
        assert latest == {"a": 1, "b": 1, "c/1": 1}
    page = s3.list_object_versions(Bucket=versioned)
    assert [(m["Key"], m["IsLatest"]) for m in page["DeleteMarkers"]] == [("a", True)]
    by_prefix = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert [p["Prefix"] for p in by_prefix["CommonPrefixes"]] == ["c/"]


def test_version_marker_needs_a_key_marker(s3, versioned):
    version = s3.put_object(Bucket=versioned, Key="a", Body=b"")["VersionId"]
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, VersionIdMarker=version)
