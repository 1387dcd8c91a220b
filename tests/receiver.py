"""A real receiver of callbacks on this machine: it keeps what came, and answers as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Reply = bytes | Callable[[socket.socket], None]


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    """An answer of that status."""
    lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


TAKEN = status(204)


@dataclass(frozen=True)
class Received:
    """A request as it came; header names in small letters."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """``replies`` are used up one a request; without any left it answers ``otherwise``."""

    port: int
    scheme: str = "http"
    otherwise: Reply = TAKEN
    received: list[Received] = field(default_factory=list)
    replies: deque[Reply] = field(default_factory=deque)
    names: list[str | None] = field(default_factory=list)
    """Which name each TLS connection asked for."""
    connections: int = 0

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def serve(self, connection: socket.socket) -> None:
        """Take one request and answer it."""
        with connection:
            connection.settimeout(20)
            request = _read(connection)
            if request is None:
                return
            self.received.append(request)
            reply = self.replies.popleft() if self.replies else self.otherwise
            if isinstance(reply, bytes):
                connection.sendall(reply)
            else:
                reply(connection)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(listener.getsockname()[1], "https" if tls else "http")
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
        closing = threading.Event()
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with suppress(OSError):  # whoever called may be gone, or no friend of ours
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                receiver.serve(connection)
            connection.close()

        def accept() -> None:
            while not closing.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                receiver.connections += 1
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield receiver
        finally:
            closing.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def _read(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in fields)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Received(line, headers, body)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and the file that makes clients trust it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate("Tests", key, key, "Tests", authority=True)
        (folder / "authority.pem").write_bytes(made.public_bytes(Encoding.PEM))
        return cls(key, made, folder)

    def client(self) -> ssl.SSLContext:
        """What a client uses that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.folder / "authority.pem"))

    def server(self, *names: str, ended: bool = False) -> ssl.SSLContext:
        """What a server of these names uses, perhaps with a certificate that has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate("server", key, self.key, "Tests", names=names, ended=ended)
        path = self.folder / f"{names[0].replace(':', '_')}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + made.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    names: tuple[str, ...] = (),
    authority: bool = False,
    ended: bool = False,
) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=-1 if ended else 1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(one) for one in names]), critical=False
        )
    if authority:
        usage = x509.KeyUsage(
            *(False,) * 5,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
