"""Every chapter in a real JupyterLab: all cells run, and each dial that is moved changes its picture.

One server and one page for all; ``make browser ARGS="-k extrapolation"`` takes one chapter.
"""

from __future__ import annotations

import json
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
from tests.browser.conftest import free_port, guarded

pytestmark = pytest.mark.browser

RUN, MOVE = 600.0, 60.0
"""Seconds until all cells must have run, and until a picture must have changed."""
STATE = """() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const kernel = panel && panel.sessionContext && panel.sessionContext.session &&
      panel.sessionContext.session.kernel;
  if (!kernel || !panel.content.model) return null;
  const cells = [...panel.content.model.cells].filter(c => c.type === 'code');
  const outputs = cells.flatMap(c => c.outputs.toJSON());
  return {
    path: panel.context.path,
    idle: kernel.status === 'idle',
    waiting: cells.filter(c => c.executionCount === null).length,
    errors: outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue),
  };
}"""
OPEN = "path => { window.jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'}); }"
RUN_ALL = """() => {
  const notebook = window.jupyterapp.shell.currentWidget;
  for (const cell of notebook.content.model.cells) if (cell.type === 'code') cell.clearExecution();
  window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""
CLOSE = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.sessionContext.shutdown();
  panel.context.model.dirty = false;
  panel.dispose();
}"""
PICTURE = """cell => [...cell.querySelectorAll('.jp-OutputArea-output')].map(one =>
  [...one.querySelectorAll('img')].map(image => image.src).join() + one.querySelectorAll('svg').length +
  (one.querySelector('.jupyter-widgets') ? '' : one.innerText)).join('|')"""
DIAL = ".noUi-handle, .jupyter-widgets select, .jupyter-widgets input[type=checkbox]"
CHAPTERS = [chapter for chapter in chapters() if chapter.path.is_file()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chromium):
    """A page with JupyterLab on a copy of the book."""
    folder = tmp_path_factory.mktemp("lab")
    for chapter in CHAPTERS:
        copy = folder / "book" / f"{chapter.name}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(chapter.path, copy)
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "COV_"))}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        env[f"JUPYTER_{name}"] = str(folder / name.lower())
    env |= {"OMP_NUM_THREADS": "1", "STAD_PROGRESS": "0", "CUDA_VISIBLE_DEVICES": ""}
    env["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "settings")
    env["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "workspaces")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}), "utf-8")
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder / 'book'}",
        "--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
    ]  # fmt: skip
    log = (folder / "lab.log").open("wb")
    server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    base = f"http://127.0.0.1:{port}"
    try:
        wait_for(base, server, folder / "lab.log")
        with guarded(chromium, 1200, 1400) as page:
            page.goto(f"{base}/lab?reset")
            page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell", timeout=120_000)
            page.evaluate("() => window.jupyterapp.restored.then(() => null)")
            yield page
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def wait_for(base: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text("utf-8")[-2000:]
        try:
            urllib.request.urlopen(f"{base}/api", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text('utf-8')[-2000:]}")


def wait_until(page, path: str, run: bool) -> None:
    """Wait until a chapter is open, or has run, and its kernel is idle; fail at the first error."""
    end = time.monotonic() + RUN
    state = None
    while time.monotonic() < end:
        state = page.evaluate(STATE)
        if state and state["path"] == path:
            assert not run or state["errors"] == []
            if state["idle"] and not (run and state["waiting"]):
                return
        page.wait_for_timeout(300)
    pytest.fail(f"{path} did not {'finish' if run else 'open'}: {state}")


def turn(page, dial) -> None:
    """Move a dial by one: the next option, the other state, a step up or, at the end, down."""
    kind = dial.evaluate("one => one.tagName.toLowerCase()")
    if kind == "select":
        count, at = dial.evaluate("one => [one.options.length, one.selectedIndex]")
        dial.select_option(index=(at + 1) % count)
    elif kind == "input":
        dial.click()
    else:
        dial.focus()
        at, high = (float(dial.get_attribute(f"aria-value{name}") or 0) for name in ("now", "max"))
        dial.press("ArrowRight" if at < high else "ArrowLeft")


def changes(page, cell, dial) -> bool:
    """Whether the cell's picture changes once the dial is moved, by a few steps where one is too small."""
    before = cell.evaluate(PICTURE)
    end = time.monotonic() + MOVE
    while time.monotonic() < end:
        turn(page, dial)
        soon = time.monotonic() + MOVE / 6
        while time.monotonic() < soon:
            page.wait_for_timeout(200)
            now = cell.evaluate(PICTURE)
            if now != before and ("img" in cell.inner_html() or "svg" in cell.inner_html()):
                return True
    return False


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda one: one.name)
def test_all_cells_run_and_each_dial_moves_its_picture(chapter, lab, shelf) -> None:
    path = f"{chapter.name}.ipynb"
    lab.evaluate(OPEN, path)
    wait_until(lab, path, run=False)
    lab.evaluate(RUN_ALL)
    wait_until(lab, path, run=True)
    notebook = lab.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    shown = notebook.locator(".jp-CodeCell").filter(has=lab.locator(DIAL))
    asked = [one for one in chapter.read().cells if "interact(" in one.source and one.cell_type == "code"]
    assert shown.count() >= sum(
        "widgets.interact(" in one.source or "= interact(" in one.source for one in asked
    )
    still = []
    for cell in shown.all():
        cell.scroll_into_view_if_needed()
        for place, dial in enumerate(cell.locator(DIAL).all()):
            if not changes(lab, cell, dial):
                still.append((cell.locator(".jp-InputArea-editor").inner_text()[:80], place))
    lab.screenshot(path=shelf / f"{chapter.name.replace('/', '-')}.png")
    lab.evaluate(CLOSE)
    assert still == [], "dials that move nothing"
