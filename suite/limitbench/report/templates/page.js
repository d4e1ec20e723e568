// What a page can do beyond being read: sortable tables, a filter of the ledger, values under the pointer or the arrow
// keys, cells that are followed across a study, copies and downloads. Everything is readable without it.
(() => {
"use strict";
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, fields = {}, ...inside) => { const e = Object.assign(document.createElement(tag), fields); e.append(...inside); return e; };
const button = (text, name, act) => make("button", { type: "button", className: name, onclick: act }, text);
const say = e => e.textContent.replace(/\s+/g, " ").trim();
const byId = id => document.getElementById(id), looks = e => getComputedStyle(e);
const set = (e, name, value) => e.setAttribute(name, value);
const STEP = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

// -- tables ------------------------------------------------------------------------------------------------------
const numeric = text => {
  const t = text.replace(/ /g, "").replace(/−/g, "-").replace(/^[^\d.∞-]+/, "");
  return t.startsWith("∞") ? Infinity : parseFloat(t);
};
function sort(table, k) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], head = heads[k];
  const up = head.getAttribute("aria-sort") !== "ascending", number = head.classList.contains("n");
  const keyed = [...body.rows].map(row => [number ? numeric(say(row.cells[k])) : say(row.cells[k]), row]);
  const order = (a, b) => number ? a - b : a.localeCompare(b, "en", { numeric: true });
  keyed.sort(([a], [b]) => Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : up ? order(a, b) : order(b, a));
  body.append(...keyed.map(([, row]) => row));
  heads.forEach(other => other.removeAttribute("aria-sort"));
  set(head, "aria-sort", up ? "ascending" : "descending");
}
for (const table of all("table")) {
  if (!table.tHead || !table.tBodies[0] || table.tBodies[0].rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, k) => {
    if (head.classList.contains("bars")) return;
    const b = button("", "sort", () => sort(table, k));
    b.append(...head.childNodes);
    head.append(b);
  });
}
for (const tally of all("[data-filter]")) {
  const rows = [...byId(tally.dataset.filter).tBodies[0].rows];
  for (const badge of all("[data-verdict]", tally)) {
    const wanted = badge.dataset.verdict;
    if (!rows.some(row => row.className === wanted)) continue;
    const b = button("", badge.className, () => {
      const on = b.getAttribute("aria-pressed") !== "true";
      all("button", tally).forEach(other => set(other, "aria-pressed", on && other === b));
      rows.forEach(row => { row.hidden = on && row.className !== wanted; });
    });
    set(b, "aria-pressed", false);
    b.append(...badge.childNodes);
    badge.replaceWith(b);
  }
}
// A link to a claim that a filter hides, or to something in a closed part of the page, shows it.
const reveal = () => {
  const goal = byId(decodeURIComponent(location.hash.slice(1)));
  if (!goal) return;
  if (goal.hidden) all(`[data-filter="${goal.closest("table").id}"] [aria-pressed=true]`).forEach(b => b.click());
  for (let e = goal.parentElement; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
};
addEventListener("hashchange", reveal);

// -- copies and downloads ----------------------------------------------------------------------------------------
function copyable(code) {
  if (code.nextElementSibling?.className === "copy") return;
  code.after(button("copy", "copy", e => {
    getSelection().selectAllChildren(code);
    e.target.textContent = document.execCommand("copy") ? "copied" : "selected";
  }));
}
addEventListener("toggle", e => all(":scope > code, :scope > pre", e.target).forEach(copyable), true);
all("dd > code").forEach(copyable);

const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font", "text-anchor"];
function save(b) {
  const svg = b.closest(".picture, figure").querySelector("svg[role=img]"), copy = svg.cloneNode(true);
  all(".at", copy).forEach(e => e.remove());
  const seen = all("*:not(.at)", svg), made = all("*", copy);
  made.forEach((e, k) => {
    const style = looks(seen[k]);
    if (!e.closest("title,desc")) LOOKS.forEach(name => e.style.setProperty(name, style.getPropertyValue(name)));
    e.removeAttribute("class");
  });
  set(copy, "xmlns", "http://www.w3.org/2000/svg");
  copy.style.background = looks(document.body).backgroundColor;
  const file = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  make("a", { href: URL.createObjectURL(file), download: `${b.parentElement.dataset.name}.svg` }).click();
}
all(".tools").forEach(tools => {
  const b = button("SVG", "", () => save(b));
  b.ariaLabel = `SVG: ${tools.dataset.name}`;
  tools.prepend(b);
});

// -- values of figures -------------------------------------------------------------------------------------------
const tip = make("div", { className: "tip", hidden: true, role: "status" });
document.body.append(tip);
const short = v => (Math.abs(v) >= 1e4 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(3))).replace(/-/g, "−");
const value = (t, low, high, log) => log ? low * (high / low) ** t : low + t * (high - low);
// The points of lines as the page writes them: steps from one to the next. Closed shapes and bars have none.
const vertices = d => d.split("M").slice(1).flatMap(part => {
  const points = [];
  let x = 0, y = 0, command = "", first;
  for (const [token] of part.matchAll(/[a-z]|-?\d*\.?\d+/g)) {
    if (token === "z") return [];
    if (/[a-z]/.test(token)) { command = token; first = undefined; continue; }
    if (command === "v") y += +token;
    else if (command === "h") x += +token;
    else if (first === undefined) { first = +token; continue; }
    else { x += first; y += +token; first = undefined; }
    points.push([x, y]);
  }
  return points.some(p => p[0] !== points[0][0]) ? points : [];
});
// Lines by the colour that the legend gives them; on the map of theories its marks are the points.
const read = new WeakMap(), isMap = svg => svg.closest("[id$=-validity]");
function linesOf(svg) {
  if (read.has(svg)) return read.get(svg);
  const axes = JSON.parse(svg.dataset.axes), names = new Map(), lines = new Map(), map = isMap(svg);
  const own = all(".legend li", svg.closest("figure")), keys = own.length ? own : all(".legend li", svg.closest("section"));
  for (const li of keys) {
    const key = li.firstElementChild, style = looks(key), mark = "●■▲◆▼✚✖★"[/t(\d)|$/.exec(key.getAttribute("class"))[1]];
    names.set(map ? mark : key.tagName === "SPAN" ? style.backgroundColor : style.color, say(li).replace(/^[^\p{L}\d] /u, ""));
  }
  const add = (name, id, x, y) => {
    const k = axes.findIndex(([x0, y0, x1, y1]) => x > x0 - 1 && x < x1 + 1 && y > y0 - 1 && y < y1 + 1);
    if (k < 0) return;
    const [x0, y0, x1, y1, ...ends] = axes[k], line = lines.get(id + k) ?? [];
    lines.set(id + k, line);
    if (line.some(p => Math.hypot(p.x - x, p.y - y) < 0.3)) return;
    line.push({ name, x, y, u: value((x - x0) / (x1 - x0), ...ends.slice(0, 3)), v: value((y1 - y) / (y1 - y0), ...ends.slice(3)) });
  };
  if (map) for (const e of all("text", svg)) { if (names.has(say(e))) add(names.get(say(e)), "", +e.getAttribute("x"), e.getAttribute("y") - 4); }
  else for (const e of all("path,use", svg)) {
    const style = looks(e), marker = e.tagName === "use", colour = marker || style.stroke === "none" ? style.fill : style.stroke;
    if (e.closest("defs,clipPath") || !marker && style.stroke === "none") continue;
    const points = marker ? [[+e.getAttribute("x"), +e.getAttribute("y")]] : vertices(e.getAttribute("d"));
    if (names.has(colour) || !keys.length && (marker || points.length > 2)) points.forEach(p => add(names.get(colour), colour, ...p));
  }
  const found = [...lines.values()];
  found.forEach(line => line.sort((p, q) => p.x - q.x));
  read.set(svg, found);
  return found;
}
const states = new WeakMap();
function show(svg, line, k) {
  const point = linesOf(svg)[line]?.[k];
  if (!point) return;
  states.set(svg, [line, k]);
  let mark = svg.querySelector(".at");
  if (!mark) {
    mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    set(mark, "class", "at");
    set(mark, "r", 5);
    svg.append(mark);
  }
  set(mark, "cx", point.x);
  set(mark, "cy", point.y);
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  tip.textContent = [point.name, isMap(svg) ? "" : `${short(point.v)} at ${short(point.u)}`].filter(Boolean).join(": ");
  tip.hidden = false;
  const left = box.left + scrollX + point.x * scale + 10;
  tip.style.left = `${Math.max(4, Math.min(left, scrollX + innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${box.top + scrollY + point.y * scale - tip.offsetHeight - 8}px`;
}
const hide = svg => { tip.hidden = true; svg.querySelector(".at")?.remove(); };
for (const svg of all("svg[data-axes]")) {
  svg.tabIndex = 0;
  svg.onpointermove = e => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    let best = isMap(svg) ? 60 : 30, at;
    linesOf(svg).forEach((line, i) => line.forEach((p, k) => {
      const far = Math.hypot(p.x - (e.clientX - box.left) * scale, p.y - (e.clientY - box.top) * scale);
      if (far < best) { best = far; at = [i, k]; }
    }));
    if (at) show(svg, ...at); else hide(svg);
  };
  svg.onpointerleave = svg.onblur = () => hide(svg);
  svg.onfocus = () => { if (svg.matches(":focus-visible")) show(svg, ...(states.get(svg) ?? [0, 0])); };
  const choose = svg.onclick = () => {
    const [line, k] = states.get(svg) ?? [], point = linesOf(svg)[line]?.[k];
    if (point && isMap(svg)) pickNear(svg, point.u, point.v);
  };
  svg.onkeydown = e => {
    const step = STEP[e.key], lines = linesOf(svg);
    if (e.key === "Escape") hide(svg);
    else if (e.key === "Enter") choose();
    if (!step || !lines.length) return;
    e.preventDefault();
    let [line, k] = states.get(svg) ?? [0, 0];
    const here = lines[line][k].x, far = p => Math.abs(p.x - here);
    line = (line + step[0] + lines.length) % lines.length;
    const points = lines[line];
    k = step[0] ? points.reduce((b, p, i) => far(p) < far(points[b]) ? i : b, 0) : Math.max(0, Math.min(points.length - 1, k + step[1]));
    show(svg, line, k);
  };
}

// -- cells of the maps -------------------------------------------------------------------------------------------
const heading = panel => say(panel.querySelector("figcaption b")).replace(/\.$/, "");
function place(td) {
  const rows = td.closest("table").rows;
  return [say(rows[0].cells[td.cellIndex]), say(td.parentElement.cells[0]), say(rows[0].cells[0]).split(" ")[0]];
}
function cellsAt(where, width, depth) {
  return all("table.map", where).flatMap(table => {
    const column = [...table.rows[0].cells].findIndex(c => say(c) === width);
    const row = [...table.rows].find((r, k) => k && say(r.cells[0]) === depth);
    return column > 0 && row ? [row.cells[column]] : [];
  });
}
function unhide(panel) {
  const section = panel.closest("section").id;
  panel.className.split(" ").forEach(c => { const i = byId(`${section}-${c}`); if (i) i.checked = true; });
}
// Marks the cell in every map of its section, says what each theory does there, and leads to its laws.
function pick(td) {
  const article = td.closest("article"), panel = td.closest(".panel"), [width, depth, symbol] = place(td);
  all(".picked", article).forEach(e => { e.classList.remove("picked"); e.removeAttribute("aria-current"); });
  cellsAt(td.closest("section"), width, depth).forEach(e => e.classList.add("picked"));
  set(td, "aria-current", "true");
  const here = symbol === "n" ? "" : `${symbol} = ${depth}`;
  const said = all(".picture", panel).flatMap(m => cellsAt(m, width, depth).map(c => `${say(m.querySelector(".above"))} ${say(c)}`));
  let line = panel.querySelector(".cell");
  if (!line) { line = make("p", { className: "cell", role: "status" }); panel.querySelector("figure").before(line); }
  line.replaceChildren(make("b", {}, `n = ${width}${here && ", " + here}: `), said.join("; "), ". ");
  for (const laws of all(`[id="${article.id}-laws"] .panel`)) {
    const about = heading(panel), title = heading(laws), end = title.slice(about.length + 2);
    const law = all(".picture", laws).find(p => say(p.querySelector(".above") ?? p) === `n = ${width}`);
    if (law && (title === about || title.startsWith(about + ", "))) line.append(button(!end || end === here ? "its laws" : `laws at ${end}`, "jump", () => {
      unhide(laws);
      law.classList.add("picked");
      law.scrollIntoView({ block: "center" });
      law.querySelector("svg").focus({ preventScroll: true });
    }));
  }
}
// The cell of the maps of D that lies nearest to a point of the map of theories.
function pickNear(svg, u, v) {
  const grid = byId(svg.closest("section").id.replace(/validity$/, "grid")), panels = all(".panel", grid);
  const panel = panels.find(p => heading(p) === heading(svg.closest(".panel"))) ?? panels[0];
  const far = td => { const [w, d] = place(td); return Math.abs(Math.log(w / u)) + Math.abs(Math.log(d / v)); };
  const [td] = all("table.map td[class]", panel).sort((a, b) => far(a) - far(b));
  if (td) { unhide(panel); pick(td); panel.querySelector(".cell").scrollIntoView({ block: "center" }); }
}
document.addEventListener("click", e => { const td = e.target.closest("table.map td[class]"); if (td) pick(td); });
document.addEventListener("keydown", e => {
  const table = e.target.matches(".scroll") ? e.target.querySelector("table.map") : e.target.closest("table.map");
  const step = STEP[e.key], td = e.target.closest("td");
  if (!table || !step && !(td && /^( |Enter)$/.test(e.key))) return;
  e.preventDefault();
  if (!step) { pick(td); return; }
  const next = td ? table.rows[td.parentElement.rowIndex + step[0]]?.cells[td.cellIndex + step[1]] : table.rows[1].cells[1];
  if (next?.tagName === "TD" && next.parentElement.rowIndex) { next.tabIndex = -1; next.focus(); }
});
addEventListener("beforeprint", () => all(".verdict details, .formulas").forEach(d => { d.open = true; }));
reveal();
document.documentElement.dataset.ready = Math.round(performance.now());
})();
