"""Holds the daemon to its own /openapi.json: schemathesis calls every operation with data made from the document.

    python3 tests/api/run.py BINARY [schemathesis options]

Runs in a virtual environment that has tests/api/requirements.txt; `tests/run --only api` makes one. The daemon runs
in a temporary directory on a free port of the loopback interface, without rate limits. Options that follow the binary
go to `schemathesis run` as they are: `--include-path /api/v1/posts`, say, or another `--seed`.
"""

import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

# One seed, so that a failure stays until it is mended.
SEED = "20261101"
# Calls of each operation in the fuzzing and the stateful phase; examples and edge cases (the coverage phase) come on top.
MAX_EXAMPLES = "25"
# The end of a run that hangs, in seconds.
PATIENCE = 20 * 60

# Left out, and why:
# - response_headers_conformance, missing_required_header: no operation asks for a header or promises one;
# - positive_data_acceptance: what a document cannot state (a code that is right, a text without control characters, a
#   change that changes something) is refused with 400 as it should be;
# - use_after_free, ensure_resource_availability, object_level_authorization: they guess what belongs together from
#   paths; tests/it knows it.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
]

ACCOUNT = {
    "name": "Schema Tester",
    "email": "schema@example.org",
    "username": "schematester",
    "password": "Correct-Horse-Battery-7",
}


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    # Stopped from outside, the daemon is ended and the directory removed all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary, options = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    work = pathlib.Path(tempfile.mkdtemp(prefix="socialhub-api-"))
    daemon, provider = None, start_provider()
    try:
        # A copy, so that a build meanwhile does not pull the file away.
        own = work / "socialhub"
        shutil.copy2(binary, own)
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        daemon = start(own, port, work, provider.server_port)
        wait_until_ready(base, daemon, work)
        document = json.loads(call("GET", f"{base}/openapi.json")[1])
        status, body = call("POST", f"{base}/api/v1/auth/signup", ACCOUNT)
        if status != 201:
            raise Failure(f"sign-up answered {status}: {body[:500]}")
        config = work / "schemathesis.toml"
        config.write_text(configuration(document))
        code = schemathesis(base, config, work, options)
        if daemon.poll() is not None:
            raise Failure(f"the daemon ended by itself, status {daemon.returncode}; its log ends:\n{log_end(work)}")
        code = stop(daemon, work) or code
        if code:
            print("api: failed; the daemon's log ends:", log_end(work), sep="\n")
        return code
    except Failure as failure:
        print(f"api: {failure}", file=sys.stderr)
        return 1
    finally:
        if daemon is not None and daemon.poll() is None:
            daemon.kill()
            daemon.wait()
        provider.shutdown()
        shutil.rmtree(work, ignore_errors=True)


class Failure(Exception):
    """What a person is told instead of a traceback."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Provider(http.server.BaseHTTPRequestHandler):
    """A language model behind the protocol of OpenAI, for writing help: without one it answers 503, as to a fault."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"message": {"role": "assistant", "content": "A fine text."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 20}
        answer = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_) -> None:
        pass


def start_provider() -> http.server.ThreadingHTTPServer:
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    return provider


def start(binary: pathlib.Path, port: int, work: pathlib.Path, provider_port: int) -> subprocess.Popen:
    # What the caller has set for its own daemon must not reach this one.
    ours = ("SOCIALHUB_", "PORT", "JWT_SECRET", "GEMINI_API_KEY", "GOOGLE_API_KEY")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # Thousands of calls from one address and one account.
    environment["SOCIALHUB_LIMITS__ENABLED"] = "false"
    environment["SOCIALHUB_ASSIST__PROVIDER"] = "openai"
    environment["SOCIALHUB_ASSIST__BASE_URL"] = f"http://127.0.0.1:{provider_port}/v1"
    environment["SOCIALHUB_ASSIST__MODEL"] = "a model"
    # Many calls at once from one account.
    environment["SOCIALHUB_ASSIST__QUEUE_CAPACITY"] = "1000"
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    with open(work / "log", "wb") as log:
        return subprocess.Popen(
            [binary, "serve", "--data-dir", work / "data", "--listen", f"127.0.0.1:{port}"],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_until_ready(base: str, daemon: subprocess.Popen, work: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            raise Failure(f"the daemon ended, status {daemon.returncode}:\n{log_end(work)}")
        try:
            if call("GET", f"{base}/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise Failure(f"the daemon was not ready within a minute:\n{log_end(work)}")


def call(method: str, url: str, body: dict | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    # No proxy of the environment stands between this process and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def configuration(document: dict) -> str:
    """Schemathesis' settings: it logs in by itself, and again when a call of its own has ended the session."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    bearers = [name for name, scheme in schemes.items() if scheme.get("type") == "http" and scheme.get("scheme") == "bearer"]
    if not bearers:
        raise Failure("/openapi.json has no bearer scheme under components.securitySchemes")
    lines = ["[auth]", "auto-signup = false"]
    for name in bearers:
        lines += [
            f"[auth.dynamic.openapi.{json.dumps(name)}]",
            'path = "/api/v1/auth/login"',
            'extract_selector = "/token"',
            "payload = { identifier = %s, password = %s }" % (json.dumps(ACCOUNT["email"]), json.dumps(ACCOUNT["password"])),
        ]
    return "\n".join(lines) + "\n"


def schemathesis(base: str, config: pathlib.Path, work: pathlib.Path, options: list[str]) -> int:
    command = [
        pathlib.Path(sys.executable).parent / "schemathesis",
        *("--config-file", config),
        "run",
        f"{base}/openapi.json",
        # It has no end.
        *("--exclude-path", "/api/v1/stream"),
        *("--checks", ",".join(CHECKS)),
        *("--max-examples", MAX_EXAMPLES),
        *("--seed", SEED),
        # Examples that were kept from an earlier run would make this one another.
        *("--generation-database", "none"),
        *("--request-timeout", "30"),
        # A slow machine is no reason to fail.
        *("--suppress-health-check", "all"),
        "--no-color",
        *options,
    ]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        raise Failure(f"schemathesis was not done within {PATIENCE // 60} minutes") from None


def stop(daemon: subprocess.Popen, work: pathlib.Path) -> int:
    daemon.terminate()
    try:
        code = daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        raise Failure(f"the daemon still runs 30 seconds after SIGTERM:\n{log_end(work)}") from None
    if code:
        print(f"api: the daemon's exit status after SIGTERM is {code}, not 0", file=sys.stderr)
    return code


def log_end(work: pathlib.Path) -> str:
    lines = (work / "log").read_text(errors="replace").splitlines()
    # A log line a call, most of them dull: the last ones, and what was an error before.
    errors = [line for line in lines[:-20] if '"level":"ERROR"' in line or " ERROR " in line]
    return "\n".join(errors[-20:] + lines[-20:])


if __name__ == "__main__":
    sys.exit(main())
