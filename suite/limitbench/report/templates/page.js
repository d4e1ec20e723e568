// What a page can do beyond being read: sortable tables, a filter of the ledger, values under the pointer or the arrow
// keys, cells that are followed across a study, copies and downloads. Everything is readable without it.
(() => {
"use strict";
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, set = {}, ...inside) => { const e = Object.assign(document.createElement(tag), set); e.append(...inside); return e; };
const button = (text, name, act) => { const b = make("button", { type: "button", className: name, onclick: act }, text); return b; };
const tidy = text => text.replace(/[\u00a0\u202f\s]+/g, " ").trim();

// -- tables ------------------------------------------------------------------------------------------------------
const numeric = text => {
  const t = text.replace(/[\u00a0\u202f\s]/g, "").replace(/−/g, "-").replace(/^[^\d.∞-]+/, "");
  return t.startsWith("∞") ? Infinity : parseFloat(t);
};
function sort(table, k) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], head = heads[k];
  const up = head.getAttribute("aria-sort") !== "ascending", number = head.classList.contains("n");
  const keyed = [...body.rows].map(row => [number ? numeric(row.cells[k].textContent) : tidy(row.cells[k].textContent), row]);
  const order = (a, b) => number ? a - b : a.localeCompare(b, "en", { numeric: true });
  keyed.sort(([a], [b]) => Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : up ? order(a, b) : order(b, a));
  body.append(...keyed.map(([, row]) => row));
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
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
  const rows = [...document.getElementById(tally.dataset.filter).tBodies[0].rows];
  for (const badge of all("[data-verdict]", tally)) {
    const wanted = badge.dataset.verdict;
    if (!rows.some(row => row.className === wanted)) continue;
    const b = button("", badge.className, () => {
      const on = b.getAttribute("aria-pressed") !== "true";
      all("button", tally).forEach(other => other.setAttribute("aria-pressed", on && other === b));
      rows.forEach(row => { row.hidden = on && row.className !== wanted; });
    });
    b.setAttribute("aria-pressed", false);
    b.title = "Show these claims alone";
    b.append(...badge.childNodes);
    badge.replaceWith(b);
  }
}
// A link to a claim that a filter hides, or to something in a closed part of the page, shows it.
const reveal = () => {
  const goal = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!goal) return;
  if (goal.hidden) all(`[data-filter="${goal.closest("table").id}"] [aria-pressed=true]`).forEach(b => b.click());
  for (let e = goal.parentElement; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
};
addEventListener("hashchange", reveal);

// -- copies and downloads ----------------------------------------------------------------------------------------
function copyable(code) {
  if (code.nextElementSibling?.className === "copy") return;
  const b = button("copy", "copy", async () => {
    try { await navigator.clipboard.writeText(code.textContent); b.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); b.textContent = "selected"; }
    setTimeout(() => { b.textContent = "copy"; }, 1500);
  });
  code.after(b);
}
addEventListener("toggle", e => { if (e.target.open) all(":scope > code, :scope > pre", e.target).forEach(copyable); }, true);
all("dd > code").forEach(copyable);

const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];
function save(b) {
  const svg = b.closest(".picture, figure").querySelector("svg[role=img]"), copy = svg.cloneNode(true);
  all(".at", copy).forEach(e => e.remove());
  const seen = all("*:not(.at)", svg), made = all("*", copy);
  made.forEach((e, k) => {
    const style = getComputedStyle(seen[k]);
    if (!e.closest("title,desc")) LOOKS.forEach(name => e.style.setProperty(name, style.getPropertyValue(name)));
    e.removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.style.background = getComputedStyle(document.body).backgroundColor;
  const file = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  const a = make("a", { href: URL.createObjectURL(file), download: `${b.dataset.save}.svg` });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 1000);
}
all("[data-save]").forEach(b => { b.hidden = false; b.onclick = () => save(b); });

// -- values of figures -------------------------------------------------------------------------------------------
const tip = make("div", { className: "tip", hidden: true });
tip.setAttribute("role", "status");
document.body.append(tip);
const short = v => (Math.abs(v) >= 1e4 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(3))).replace(/-/g, "−");
const value = (at, from, to, low, high, log) => {
  const t = (at - from) / (to - from);
  return log ? low * (high / low) ** t : low + t * (high - low);
};
function vertices(d) {
  const points = [];
  let at = [0, 0], command = "", numbers = [];
  const need = { M: 2, L: 2, l: 2, h: 1, v: 1, c: 6, q: 4 };
  for (const [token] of d.matchAll(/[A-Za-z]|-?\d*\.?\d+/g)) {
    if (/[A-Za-z]/.test(token)) { if (/z/i.test(token)) return []; command = token; numbers = []; continue; }
    numbers.push(+token);
    if (numbers.length < need[command]) continue;
    const [x, y] = numbers.slice(-2);
    at = command === "h" ? [at[0] + x, at[1]] : command === "v" ? [at[0], at[1] + x] : /[ML]/.test(command) ? [x, y] : [at[0] + x, at[1] + y];
    points.push(at);
    numbers = [];
  }
  return points;
}
const read = new WeakMap();
function linesOf(svg) {
  if (read.has(svg)) return read.get(svg);
  const axes = JSON.parse(svg.dataset.axes), names = new Map(), lines = new Map();
  const legends = all(".legend", svg.closest("figure")), near = legends.length ? legends : all(".legend", svg.closest("section"));
  for (const key of near.flatMap(l => all("li", l)))
    if (key.firstElementChild) {
      const style = getComputedStyle(key.firstElementChild);
      const colour = key.firstElementChild.tagName === "SPAN" ? style.backgroundColor : style.color;
      if (!names.has(colour)) names.set(colour, tidy(key.textContent).replace(/^[^\p{L}\d]\s/u, ""));
    }
  const root = getComputedStyle(svg), plain = new Set(["line", "muted", "ink"].map(n => {
    const probe = make("i"); probe.style.color = `var(--${n})`; svg.after(probe);
    const c = getComputedStyle(probe).color; probe.remove(); return c;
  }));
  for (const e of all("path,use", svg)) {
    if (e.closest("defs,clipPath,.at")) continue;
    const style = getComputedStyle(e), marker = e.tagName === "use";
    const colour = style.stroke !== "none" && !marker ? style.stroke : style.fill;
    if (!names.has(colour) && plain.has(colour) || !marker && style.stroke === "none") continue;
    const points = marker ? [[+e.getAttribute("x"), +e.getAttribute("y")]] : vertices(e.getAttribute("d"));
    for (const [x, y] of points) {
      const k = axes.findIndex(([x0, y0, x1, y1]) => x > x0 - 1 && x < x1 + 1 && y > y0 - 1 && y < y1 + 1);
      if (k < 0) continue;
      const id = `${colour} ${k}`, line = lines.get(id) ?? { name: names.get(colour) ?? "", points: [] };
      lines.set(id, line);
      if (line.points.some(p => Math.hypot(p.x - x, p.y - y) < 0.3)) continue;
      const [x0, y0, x1, y1, xl, xh, xlog, yl, yh, ylog] = axes[k];
      line.points.push({ x, y, u: value(x, x0, x1, xl, xh, xlog), v: value(y, y1, y0, yl, yh, ylog) });
    }
  }
  const found = [...lines.values()].filter(l => l.points.length);
  found.forEach(l => l.points.sort((p, q) => p.x - q.x));
  read.set(svg, found);
  return found;
}
const states = new WeakMap();
function show(svg, line, k) {
  const lines = linesOf(svg), point = lines[line]?.points[k];
  if (!point) return;
  states.set(svg, [line, k]);
  let mark = svg.querySelector(".at");
  if (!mark) {
    mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    mark.setAttribute("class", "at");
    mark.setAttribute("r", 5);
    svg.append(mark);
  }
  mark.setAttribute("cx", point.x);
  mark.setAttribute("cy", point.y);
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  tip.textContent = `${lines[line].name ? lines[line].name + ": " : ""}${short(point.v)} at ${short(point.u)}`;
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
    const x = (e.clientX - box.left) * scale, y = (e.clientY - box.top) * scale;
    let best = 900, at;
    linesOf(svg).forEach((l, i) => l.points.forEach((p, k) => {
      const far = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (far < best) { best = far; at = [i, k]; }
    }));
    if (at) show(svg, ...at); else hide(svg);
  };
  svg.onpointerleave = svg.onblur = () => hide(svg);
  svg.onfocus = () => { if (svg.matches(":focus-visible")) show(svg, ...(states.get(svg) ?? [0, 0])); };
  svg.onkeydown = e => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
    if (e.key === "Escape") hide(svg);
    const lines = linesOf(svg);
    if (!step || !lines.length) return;
    e.preventDefault();
    let [line, k] = states.get(svg) ?? [0, 0];
    const here = lines[line].points[k].x;
    line = (line + step[0] + lines.length) % lines.length;
    const points = lines[line].points, far = p => Math.abs(p.x - here);
    k = step[0] ? points.reduce((b, p, i) => far(p) < far(points[b]) ? i : b, 0) : Math.max(0, Math.min(points.length - 1, k + step[1]));
    show(svg, line, k);
  };
}

// -- cells of the maps -------------------------------------------------------------------------------------------
const placeOf = td => ({ width: tidy(td.closest("table").rows[0].cells[td.cellIndex].textContent), depth: tidy(td.parentElement.cells[0].textContent) });
const corner = table => tidy(table.rows[0].cells[0].textContent).split(" ");
function cellsAt(where, { width, depth }) {
  return all("table.map", where).flatMap(table => {
    const column = [...table.rows[0].cells].findIndex(c => tidy(c.textContent) === width);
    const row = [...table.rows].find((r, k) => k && tidy(r.cells[0].textContent) === depth);
    return column > 0 && row ? [row.cells[column]] : [];
  });
}
const heading = panel => tidy(panel.querySelector("figcaption b")?.textContent ?? "").replace(/\.$/, "");
const reveal_panel = panel => {
  const section = panel.closest("section");
  panel.className.split(" ").forEach(c => { const i = document.getElementById(`${section.id}-${c}`); if (i) i.checked = true; });
};
function pick(td) {
  const article = td.closest("article"), place = placeOf(td), panel = td.closest(".panel");
  all(".picked", article).forEach(e => { e.classList.remove("picked"); e.removeAttribute("aria-current"); });
  cellsAt(td.closest("section"), place).forEach(e => e.classList.add("picked"));
  td.setAttribute("aria-current", "true");
  const said = all(".picture", panel).flatMap(map => cellsAt(map, place).map(c => `${tidy(map.querySelector(".above").textContent)} ${tidy(c.textContent)}`));
  const [depth, , , ] = corner(td.closest("table")), named = depth === "n" ? `n = ${place.width}` : `n = ${place.width}, ${depth} = ${place.depth}`;
  let line = panel.querySelector(".cell");
  if (!line) { line = make("p", { className: "cell" }); line.setAttribute("role", "status"); panel.querySelector("figure").before(line); }
  line.replaceChildren(make("b", {}, `${named}: `), said.join("; "), ". ");
  const about = heading(panel);
  for (const laws of all(`[id="${article.id}-laws"] .panel`)) {
    const title = heading(laws), law = all(".picture", laws).find(p => tidy(p.querySelector(".above")?.textContent ?? "") === `n = ${place.width}`);
    if (!law || title !== about && !title.startsWith(about + ", ")) continue;
    const end = title.slice(about.length + 2);
    line.append(button(end === `${depth} = ${place.depth}` || !end ? "its laws" : `laws at ${end}`, "jump", () => {
      reveal_panel(laws);
      law.classList.add("picked");
      law.scrollIntoView({ block: "center" });
      law.querySelector("svg").focus({ preventScroll: true });
    }));
  }
}
document.addEventListener("click", e => { const td = e.target.closest?.("table.map td[class]"); if (td) pick(td); });
document.addEventListener("keydown", e => {
  const table = e.target.matches(".scroll") ? e.target.querySelector("table.map") : e.target.closest("table.map");
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
  if (!table) return;
  const td = e.target.closest("td");
  if (td && (e.key === "Enter" || e.key === " ")) { e.preventDefault(); pick(td); return; }
  if (!step) return;
  const next = td ? table.rows[td.parentElement.rowIndex + step[0]]?.cells[td.cellIndex + step[1]] : table.rows[1].cells[1];
  if (!next || next.tagName !== "TD" || !next.parentElement.rowIndex) return;
  e.preventDefault();
  next.tabIndex = -1;
  next.focus();
});
addEventListener("beforeprint", () => all(".verdict details, .formulas").forEach(d => { d.open = true; }));
reveal();
document.documentElement.dataset.ready = Math.round(performance.now());
})();
