"""The service as its visitors have it: REST, GraphQL and Dagster's pages. All answers are kept."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Page, Response, WebSocket, sync_playwright

from step_ops.drivers.find_browser import need_browser
from tests.canary.searching import Place

START_SECONDS, STOP_SECONDS = 60, 30
_TOKEN = re.compile(r"rbt_\S+")

EXECUTION = """query Of($id: ID!) {
  runbookExecution(id: $id) {
    id status reason kpis inputs replay actor
    stepLogs { stepId attempt status summary inputs outputs errors }
  }
  runbookExecutions(modes: ["live", "replay"]) { id reason inputs kpis }
}"""

RUN = """query Of($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      runConfigYaml tags { key value } executionPlan { steps { key } }
      stepStats { stepKey status materializations { metadataEntries { ...Entry } } }
      eventConnection(limit: 1000) {
        events {
          __typename
          ... on MessageEvent { message stepKey level timestamp }
          ... on DisplayableEvent { label description metadataEntries { ...Entry } }
          ... on ErrorEvent { error { message className stack errorChain { error { message stack } } } }
        }
      }
    }
  }
  assetNodes { assetMaterializations { metadataEntries { ...Entry } } }
}
fragment Entry on MetadataEntry {
  label description
  ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString }
  ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry { floatValue }
  ... on MarkdownMetadataEntry { mdStr } ... on PathMetadataEntry { path }
}"""

LAUNCH = """mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on RunConfigValidationInvalid { errors { message reason } }
    ... on PythonError { message stack }
    ... on LaunchRunSuccess { run { runId } }
  }
}"""


@dataclass(kw_only=True)
class Visit:
    """A service that is starting or runs; `said` is the file with its words."""

    url: str
    process: "subprocess.Popen[bytes]"
    said: Path
    rest: Place = field(default_factory=lambda: Place("REST answers"))
    graphql: Place = field(default_factory=lambda: Place("GraphQL answers"))
    pages: Place = field(default_factory=lambda: Place("web pages"))
    _token: str = ""

    def token(self) -> str:
        """An admin's, as soon as the service answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self._token:
            words = self.said.read_text(encoding="utf-8")
            assert self.process.poll() is None and time.monotonic() < deadline, words
            if "serving on" in words:
                self._token = _TOKEN.findall(words)[0]
            time.sleep(0.05)
        return self._token

    @property
    def words(self) -> Place:
        """What the service itself wrote."""
        place = Place("output of `rb serve`")
        place.add("stdout and stderr", self.said.read_bytes())
        assert b"serving on" in place.pieces[0][1]
        return place

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request; its answer is kept, headers and all."""
        headers = {"Authorization": f"Bearer {self.token()}", **more.pop("headers", {})}
        answer = requests.request(method, f"{self.url}{path}", headers=headers, timeout=60, **more)
        place = self.graphql if path == "/graphql" else self.rest
        place.add(f"{method} {path}", "\n".join(f"{name}: {value}" for name, value in answer.headers.items()))
        place.add(f"{method} {path}", answer.content)
        return answer

    def query(self, document: str, **variables: Any) -> Any:
        """The data of a GraphQL operation, also where there are errors beside it."""
        return self.ask("POST", "/graphql", json={"query": document, "variables": variables}).json()

    def look(self, *pages: tuple[str, str]) -> None:
        """Opens pages in a browser that is signed in, and on each the buttons of a name.

        What they show, and all that they got for that, is kept.
        """
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=need_browser())
            page = browser.new_page(viewport={"width": 1500, "height": 2500})
            page.on("response", self._received)
            page.on("websocket", self._listened)
            page.on("console", lambda said: self.pages.add("console", said.text))
            page.goto(f"{self.url}/sign-in")
            page.fill("#token", self.token())
            page.click("button")
            for path, name in pages:
                page.goto(f"{self.url}{path}", wait_until="networkidle")
                self._shown(page, path)
                if name:
                    page.get_by_text(name).first.click()
                    page.locator("[class*='-dialog']").first.wait_for()
                    self._shown(page, f"{path}, {name}")
            browser.close()

    def _shown(self, page: Page, name: str) -> None:
        self.pages.add(f"text of {name}", page.inner_text("body"))
        self.pages.add(f"DOM of {name}", page.content())
        self.pages.add(f"picture of {name}", page.screenshot())

    def _received(self, response: Response) -> None:
        if "json" in response.headers.get("content-type", ""):
            self.pages.add(response.url, response.body())

    def _listened(self, opened: WebSocket) -> None:
        opened.on("framereceived", lambda frame: self.pages.add("websocket", frame))


@contextmanager
def visiting(root: Path, *, said: Path) -> Iterator[Visit]:
    """The service of the project at `root`, in a process of its own with this environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = "from cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", "-p", str(port), "--slots", "2", "--no-daemon"]
    with (
        said.open("wb") as words,
        subprocess.Popen(command, cwd=root, stdout=words, stderr=words, start_new_session=True) as process,
    ):
        try:
            yield Visit(url=f"http://127.0.0.1:{port}", process=process, said=said)
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
