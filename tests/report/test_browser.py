"""The page in a browser: what axe-core finds, what its script does, and that nothing depends on it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from limitbench.report.html import render_page
from limitbench.report.results import Results
from limitbench.studies.base import Study

Maker = Callable[..., xr.DataTree]
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
#: The source of axe-core: a file named by `LIMITBENCH_AXE`, or what npm has put beside the sources.
AXE = Path(os.environ.get("LIMITBENCH_AXE", "node_modules/axe-core/axe.min.js"))
WIDTHS = (400, 1400)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="notice: no Chromium on this machine")

#: Opens the copies in frames of the widths asked for and collects what each says of itself.
HOST = """<!doctype html><script>
const found = {}, wanted = %d;
addEventListener("message", e => { found[e.data.width] = e.data.found;
  if (Object.keys(found).length === wanted) document.documentElement.dataset.found = JSON.stringify(found); });
</script>%s"""
REPORT = "parent.postMessage({ width: innerWidth, found }, '*');"


def in_browser(page: str, folder: Path, script: str, *, widths: tuple[int, ...] = WIDTHS, dark: bool = False) -> Any:
    """What `script` leaves in `found` in a copy of `page`, by width of the window; and what was on the console."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    copy = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    (folder / "page.html").write_text(copy.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    frames = "".join(f'<iframe src="page.html" width="{w}" height="900" style="border:0"></iframe>' for w in widths)
    host = folder / "host.html"
    host.write_text(HOST % (len(widths), frames), encoding="utf-8")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1500,1000", "--virtual-time-budget=60000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", host.as_uri(),
    ]  # fmt: skip
    done = subprocess.run([str(CHROMIUM), *options], capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    return json.loads(unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(synthetic_tree: xr.DataTree, study: Study) -> str:
    tree = synthetic_tree.isel(c_minus=[0], rate=[0, 1])
    return render_page([Results(tree, study)], limit=200_000)


@pytest.mark.skipif(not AXE.is_file(), reason="notice: no axe-core; LIMITBENCH_AXE names its file")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_violation_and_the_console_stays_empty(page: str, tmp_path: Path, dark: bool) -> None:
    run = """axe.run(document, { resultTypes: ["violations"] }).then(result => {
      const found = result.violations.map(v => [v.id, ...v.nodes.map(n => n.html.slice(0, 200))]); %s });"""
    script = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script") + "\n" + run % REPORT
    found, console = in_browser(page, tmp_path, script, dark=dark)
    assert found == {str(width): [] for width in WIDTHS}
    assert console == []


@pytest.mark.skipif(not AXE.is_file(), reason="notice: no axe-core; LIMITBENCH_AXE names its file")
def test_axe_would_find_a_drawing_without_a_name(page: str, tmp_path: Path) -> None:
    run = """axe.run(document, { runOnly: ["svg-img-alt"] }).then(result => {
      const found = result.violations.map(v => v.id); %s });"""
    script = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script") + "\n" + run % REPORT
    planted = re.sub(r'<svg role="img" aria-labelledby="[^"]*"', '<svg role="img" aria-labelledby="none"', page)
    planted = re.sub(r"<title id=.*?</title>", "", planted)
    found, _ = in_browser(planted, tmp_path, script, widths=(400,))
    assert found == {"400": ["svg-img-alt"]}


def test_the_script_sorts_filters_reads_values_and_follows_a_cell(page: str, tmp_path: Path) -> None:
    script = """
    const one = what => document.querySelector(what), found = {};
    const all = what => [...document.querySelectorAll(what)];
    const press = (e, key) => e.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const measured = one(".ledger th:nth-child(4) .sort");
    const column = () => all(".ledger tbody tr").map(row => row.cells[3].textContent);
    measured.click(); found.ascending = column(); found.sort = measured.parentElement.ariaSort;
    measured.click(); found.descending = column();
    one("button.badge.fails").click();
    found.shown = all(".ledger tbody tr").filter(row => !row.hidden).map(row => row.id);
    one("button.badge.fails").click();
    found.again = all(".ledger tbody tr").filter(row => !row.hidden).length;
    const drawing = one("#synthetic-figure-means svg[data-axes]");
    drawing.focus(); press(drawing, "ArrowLeft"); found.first = one(".tip").textContent;
    press(drawing, "ArrowRight"); found.second = one(".tip").textContent;
    press(drawing, "Escape"); found.hidden = one(".tip").hidden;
    const cell = all("#synthetic-grid table.map td[class]").find(td => td.getClientRects().length);
    const wrapper = cell.closest(".scroll");
    wrapper.focus(); press(wrapper, "ArrowRight"); found.focused = document.activeElement.textContent;
    press(document.activeElement, "Enter"); found.cell = one(".cell").textContent;
    found.picked = all(".picked").length > 1;
    one(".jump").click(); found.law = one(".picture.picked .above").textContent;
    found.saves = all(".tools").every(t => t.querySelector("button"));
    found.ready = +document.documentElement.dataset.ready < 5000;
    """
    found, console = in_browser(page, tmp_path, script + REPORT, widths=(1400,))
    (seen,) = found.values()
    assert console == []
    assert (seen["ascending"], seen["sort"]) == (["0.5120", "0.6100", "–"], "ascending")
    assert seen["descending"] == ["0.6100", "0.5120", "–"], "what is not there comes last"
    assert (seen["shown"], seen["again"]) == (["synthetic-claim-2"], 3)
    assert (seen["first"], seen["second"], seen["hidden"]) == ("networks: 0.5 at 16", "networks: 0.25 at 64", True)
    assert re.fullmatch(r"[✓✗?] [\d.]+", seen["focused"])
    assert seen["cell"].startswith("n = 16, d/n = 1: ")
    assert seen["cell"].count(";") == 4, "one entry a theory"
    assert seen["law"] == "n\u00a0=\u00a016"
    assert seen["picked"]
    assert seen["saves"]
    assert seen["ready"]


def test_nothing_waits_for_the_script(page: str) -> None:
    """All text, every panel and every download is there without it."""
    body = page.split("<body>")[1]
    assert re.findall(r"<\w+[^<>]* hidden|<noscript|display:none\"|<button", body.split("<script>")[0]) == []
    assert len(re.findall(r'<a download="[^"]+\.csv" href="data:text/csv', body)) > 4
