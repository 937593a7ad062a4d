"""HTTPS with a certificate of one's own."""

import json
import subprocess

import pytest
from harness.clients import refused, s3_client
from harness.sums import noise

pytestmark = pytest.mark.restarts


def certificate(directory, name="127.0.0.1"):
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=millpond test", "-addext", f"subjectAltName=IP:{name},DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_boto3_over_tls(make_server, tmp_path):
    cert, key = certificate(tmp_path)
    server = make_server(args=["--tls-cert", str(cert), "--tls-key", str(key)], scheme="https")
    client = s3_client(server, verify=str(cert))
    client.create_bucket(Bucket="secure")
    data = noise(3 << 20, 60)
    # Over TLS, boto3 sends an unsigned payload with a trailing checksum.
    client.put_object(Bucket="secure", Key="k", Body=data)
    assert client.get_object(Bucket="secure", Key="k")["Body"].read() == data
    client.upload_fileobj(__import__("io").BytesIO(noise(9 << 20, 61)), "secure", "multi")
    assert client.head_object(Bucket="secure", Key="multi")["ContentLength"] == 9 << 20
    # Without the certificate the client refuses, and the server lives on.
    from botocore.exceptions import SSLError

    with pytest.raises(SSLError):
        s3_client(server).list_buckets()
    import socket

    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        plain.settimeout(20)
        try:
            assert not plain.recv(100).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            pass
    assert server.alive() and client.list_buckets()["Buckets"]


def test_policies_ask_for_the_version(make_server, tmp_path):
    cert, key = certificate(tmp_path)
    server = make_server(args=["--tls-cert", str(cert), "--tls-key", str(key)], scheme="https")
    client = s3_client(server, verify=str(cert))
    client.create_bucket(Bucket="secure")
    client.put_object(Bucket="secure", Key="k", Body=b"x")
    for least, refuses in (("1.2", False), ("1.3", False), ("1.4", True)):
        condition = {"NumericLessThan": {"s3:TlsVersion": least}}
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::secure/*", "Condition": condition}
        client.put_bucket_policy(Bucket="secure", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
        if refuses:
            with refused("AccessDenied", 403):
                client.get_object(Bucket="secure", Key="k")
        else:
            assert client.get_object(Bucket="secure", Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize("spoil", ["no key", "no such file", "not a certificate"])
def test_bad_certificates_stop_the_start(make_server, tmp_path, spoil):
    from harness.server import StartFailed

    cert, key = certificate(tmp_path)
    args = ["--tls-cert", str(cert), "--tls-key", str(key)]
    if spoil == "no key":
        args = args[:2]
    elif spoil == "no such file":
        args[1] = str(tmp_path / "none.pem")
    else:
        cert.write_text("hello")
    with pytest.raises(StartFailed) as failed:
        make_server(args=args, scheme="https")
    assert "panicked" not in str(failed.value)
