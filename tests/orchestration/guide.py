"""Guides as a shell would read them: their commands, the ids that they print, curl by httpx.

Commands stand in ``bash`` blocks. A placeholder such as ``job_…`` stands for an id that an earlier
command printed: the first of its kind in the newest output that has one which is still there.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\s*(\.venv/bin/sevenfold|sevenfold|curl|export|openssl)\b", re.MULTILINE)
PLACEHOLDER = re.compile(r"(job_|sch_|wh_|msg_|churn-)…")
IDS = {
    **{kind: re.compile(rf"\b{kind}[0-9a-f]{{24}}\b") for kind in ("job_", "sch_", "wh_", "msg_")},
    "churn-": re.compile(r"\bchurn-\d{8}-[0-9a-f]{10}\b"),
}
SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<"})
LOCAL = "localhost:8000"

Sevenfold = Callable[..., tuple[int, str, str]]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return [body for name, body in BLOCK.findall(text) if name == language]


def stray(text: str) -> list[str]:
    """Blocks that show a command but are not marked as one."""
    return [body for name, body in BLOCK.findall(text) if name != "bash" and COMMAND.search(body)]


def commands(text: str) -> list[list[str]]:
    """The words of each command of the ``bash`` blocks, in order."""
    found = []
    for block in blocks(text, "bash"):
        held = ""
        for line in block.replace("\\\n", " ").splitlines():
            held += line
            try:
                words = shlex.split(held, comments=True)
            except ValueError:  # a quoted text goes on
                held += "\n"
                continue
            held = ""
            if words:
                found.append(words)
        assert not held, f"a quote does not end: {held}"
    return found


@dataclass
class Shell:
    """Runs commands of a guide one after the other; each must do what it is there for."""

    sevenfold: Sevenfold
    client: httpx.Client
    variables: dict[str, str]
    instead: dict[str, str]
    """Addresses that exist in no test, and what stands for them here."""
    outputs: list[tuple[str, str]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def run(self, words: Sequence[str]) -> None:
        """Do a command; AssertionError with its text where it fails or is none that we know."""
        program, *given = (self._filled(word) for word in words)
        line = shlex.join([program, *given])
        assert not SHELL & set(words), f"the tests know no pipes: {line}"
        match program:
            case ".venv/bin/sevenfold":
                status, out, error = self.sevenfold(*given)
                assert status == 0, f"{line}\nended with {status}: {error}"
                self.outputs.append((out, error))
            case "curl":
                self.outputs.append((curl(self.client, given), ""))
            case "export":
                for name, value in (word.split("=", 1) for word in given):
                    self.variables[name] = value
            case "openssl" if shutil.which(program) is not None:
                subprocess.run([program, *given], check=True, capture_output=True)
            case "openssl":
                pass
            case _:
                raise AssertionError(f"the tests know no program {program}: {line}")
        if "delete" in given or "DELETE" in given:
            self.gone |= {one for kind in IDS.values() for one in kind.findall(line)}

    def _filled(self, word: str) -> str:
        for name, value in self.variables.items():
            word = word.replace(f"${name}", value)
        for example, real in self.instead.items():
            word = word.replace(example, real)
        word = PLACEHOLDER.sub(lambda found: self._newest(found[1]), word)
        assert "…" not in word, f"nothing says what {word!r} stands for"
        return word

    def _newest(self, kind: str) -> str:
        outs, errors = zip(*reversed(self.outputs), strict=True) if self.outputs else ((), ())
        for text in (*outs, *errors):  # what is only said beside a result comes last
            for one in IDS[kind].findall(text):
                if one not in self.gone:
                    return str(one)
        raise AssertionError(f"no command before printed what {kind}… stands for")


def curl(client: httpx.Client, given: Sequence[str]) -> str:
    """What curl does with these words, by httpx; the body where it answers with success."""
    method, url, headers = None, None, {}
    content: bytes | None = None
    files, out = {}, None
    words = iter(given)
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(":")
                headers[name] = value.strip()
            case "-d":
                content = next(words).encode()
            case "--data-binary" | "-T":
                content = Path(next(words).removeprefix("@")).read_bytes()
                method = method or ("PUT" if word == "-T" else None)
            case "-F":
                name, _, value = next(words).partition("=")
                path = Path(value.removeprefix("@").partition(";")[0])
                files[name] = (path.name, path.read_bytes(), _type(value))
            case "-o":
                out = Path(next(words))
            case _ if word.startswith("-"):
                raise AssertionError(f"the tests do not know curl's option {word}")
            case _:
                assert url is None, f"two addresses: {url} and {word}"
                url = word
    assert url is not None
    host, _, path = url.removeprefix("http://").partition("/")
    assert host == LOCAL, f"{url} is not on {LOCAL}"
    method = method or ("POST" if content is not None or files else "GET")
    if content is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/x-www-form-urlencoded"  # as curl does
    answer = client.request(
        method, f"/{path}", headers=headers, content=content, files=files or None
    )
    assert answer.is_success, f"curl {shlex.join(given)}\n{answer.status_code}: {answer.text}"
    if out is not None:
        out.write_bytes(answer.content)
        return ""
    return answer.text


def _type(value: str) -> str:
    """The type of a file of a form: what ``;type=`` says, else a guess as curl makes it."""
    _, named, kind = value.partition(";type=")
    return kind if named else "application/octet-stream"
