"""A chapter in a real JupyterLab: run all, move the dial, see the picture change.

STAD_CHAPTER names another chapter ("cfad/key_timestamps") or the path of any notebook with a dial.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from notebooks import chapters
from tests.browser.conftest import free_port

pytestmark = pytest.mark.browser

DEFAULT = "cfad/polynomial_tubes"
STATE = """() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const kernel = panel && panel.sessionContext && panel.sessionContext.session &&
      panel.sessionContext.session.kernel;
  if (!kernel || !panel.content.model) return null;
  const cells = [...panel.content.model.cells].filter(c => c.type === 'code');
  const outputs = cells.map(c => c.outputs.toJSON());
  const views = o => o.some(x => x.data && 'application/vnd.jupyter.widget-view+json' in x.data);
  return {
    idle: kernel.status === 'idle',
    waiting: cells.filter(c => c.executionCount === null).length,
    errors: outputs.flat().filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue),
    dial: [...panel.content.model.cells].findIndex(c => c.type === 'code' && views(c.outputs.toJSON())),
  };
}"""


def chapter_with_a_dial() -> Path:
    """Return the notebook that STAD_CHAPTER names, else the default, else the first with a dial."""
    name = os.environ.get("STAD_CHAPTER", DEFAULT)
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).resolve()
    there = {c.name: c for c in chapters() if c.path.is_file()}
    if name in there:
        return there[name].path
    for chapter in there.values():
        if any("interact(" in cell.source for cell in chapter.read().cells):
            return chapter.path
    pytest.skip("no chapter has a dial yet")


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab on a copy of one chapter; yields the chapter's address."""
    source = chapter_with_a_dial()
    folder = tmp_path / "book"
    folder.mkdir()
    shutil.copy(source, folder / source.name)
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "COV_"))}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        env[f"JUPYTER_{name}"] = str(tmp_path / name.lower())
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"), "OMP_NUM_THREADS": "1"}
    env["JUPYTERLAB_WORKSPACES_DIR"] = str(tmp_path / "workspaces")
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}",
        "--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
    ]  # fmt: skip
    log = (tmp_path / "lab.log").open("wb")
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    base = f"http://127.0.0.1:{port}"
    try:
        wait_for(base, server, tmp_path / "lab.log")
        yield f"{base}/lab/tree/{source.name}?reset"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def wait_for(base: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text("utf-8")[-2000:]
        try:
            urllib.request.urlopen(f"{base}/api", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text('utf-8')[-2000:]}")


def wait_until_run(page) -> dict:
    """Wait until every code cell has run and the kernel is idle; fail at the first error."""
    end = time.monotonic() + 300
    state = None
    while time.monotonic() < end:
        state = page.evaluate(STATE)
        if state:
            assert state["errors"] == []
            if state["idle"] and not state["waiting"]:
                return state
        page.wait_for_timeout(300)
    pytest.fail(f"the chapter did not finish: {state}")


def pictures(cell) -> list[str]:
    return [image.get_attribute("src") for image in cell.locator(".jp-OutputArea img").all()]


def test_the_dial_moves_the_picture(lab, page, shelf):
    page.goto(lab)
    page.wait_for_function(f"() => ({STATE})()?.idle", timeout=90_000)
    page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
    state = wait_until_run(page)
    assert state["dial"] >= 0, "no cell shows a widget"
    scroll = "i => window.jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')"
    page.evaluate(scroll, state["dial"])
    handle = page.locator(".jp-Notebook .noUi-handle").first
    handle.wait_for(timeout=20_000)
    cell = page.locator(".jp-Notebook .jp-CodeCell").filter(has=page.locator(".noUi-handle")).first
    cell.locator(".jp-OutputArea img").first.wait_for(timeout=20_000)
    before = pictures(cell)
    page.screenshot(path=shelf / "dial_before.png")
    handle.focus()
    at = float(handle.get_attribute("aria-valuenow") or 0)
    high = float(handle.get_attribute("aria-valuemax") or 0)
    handle.press("ArrowRight" if at < high else "ArrowLeft")
    end = time.monotonic() + 30
    while pictures(cell) in (before, []) and time.monotonic() < end:
        page.wait_for_timeout(100)
    after = pictures(cell)
    page.screenshot(path=shelf / "dial_after.png")
    assert after and after != before
