"use strict";
// The table of runs, its sorting and filters, and the comparison of the runs that are ticked. All data stand in #data.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 200, MOST = 8;
  // Okabe and Ito's colours; each line also has its own dashes, and the legend its name: nothing hangs on colour alone
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a8a8a", "#7a4fbf"];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4], [2, 6], [8, 3, 2, 3, 2, 3]];
  const name = (run) => run.experiment + "/" + run.key;
  const config = (run) => Object.assign({}, data.shared[run.experiment], run.config);

  // what the user chose survives the page's looking again
  const kept = JSON.parse(sessionStorage.getItem("runs") || "{}");
  const view = Object.assign({ find: "", experiment: "", state: "", sort: "updated", down: true, chosen: [], metric: "", log: false, all: false }, kept);
  const keep = () => sessionStorage.setItem("runs", JSON.stringify(view));

  const duration = (s) => s == null ? "" : s < 90 ? Math.round(s) + " s" : s < 5400 ? Math.round(s / 60) + " min" : s < 172800 ? (s / 3600).toFixed(1) + " h" : (s / 86400).toFixed(1) + " d";
  const number = (x) => x == null ? "" : Number.isInteger(x) ? x.toLocaleString("en") : Math.abs(x) >= 1e-3 && Math.abs(x) < 1e5 ? String(+x.toPrecision(5)) : x.toExponential(2);

  const counts = new Map();
  for (const run of data.runs) for (const metric of Object.keys(run.metrics)) counts.set(metric, (counts.get(metric) || 0) + 1);
  const worth = (metric) => (/^test/.test(metric) ? 4 : /best|min_/.test(metric) ? 3 : /^val/.test(metric) ? 2 : /loss|accuracy/.test(metric) ? 1 : 0);
  const metrics = [...counts.keys()].sort((a, b) => worth(b) - worth(a) || counts.get(b) - counts.get(a)).slice(0, 5);

  const COLUMNS = [
    { id: "state", title: "state", value: (run) => run.state },
    { id: "experiment", title: "experiment", value: (run) => run.experiment },
    { id: "label", title: "run", value: (run) => run.label },
    { id: "share", title: "progress", value: (run) => run.share, text: (run) => run.share == null ? number(run.step) + " steps" : Math.floor(100 * run.share) + " %", number: true },
    { id: "left", title: "time left", value: (run) => run.left, text: (run) => duration(run.left), number: true },
    { id: "seconds", title: "time spent", value: (run) => run.seconds, text: (run) => duration(run.seconds), number: true },
    ...metrics.map((metric) => ({ id: "m:" + metric, title: metric, value: (run) => run.metrics[metric], text: (run) => number(run.metrics[metric]), number: true })),
    { id: "updated", title: "last change", value: (run) => run.updated, text: (run) => new Date(1000 * run.updated).toISOString().slice(0, 16).replace("T", " "), number: true },
  ];

  const element = (tag, text, attributes) => {
    const made = document.createElement(tag);
    if (text != null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    return made;
  };

  const words = new Map(data.runs.map((run) => [run, [run.label, run.experiment, run.key, run.message, run.state, ...Object.entries(config(run)).map(([k, v]) => k + "=" + v)].join(" ").toLowerCase()]));

  function found() {
    const parts = view.find.toLowerCase().split(/\s+/).filter(Boolean);
    const column = COLUMNS.find((c) => c.id === view.sort) || COLUMNS[COLUMNS.length - 1];
    const rows = data.runs.filter((run) => (!view.experiment || run.experiment === view.experiment) && (!view.state || run.state === view.state) && parts.every((part) => words.get(run).includes(part)));
    const order = (a, b) => {
      const x = column.value(a), y = column.value(b);
      if (x == null || y == null) return (x == null) - (y == null); // what is not known comes last either way
      const difference = typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return view.down ? -difference : difference;
    };
    return rows.map((run, i) => [run, i]).sort((a, b) => order(a[0], b[0]) || a[1] - b[1]).map(([run]) => run);
  }

  function drawTable() {
    const head = element("tr");
    head.append(element("th", ""));
    for (const column of COLUMNS) {
      const th = element("th", null, { "aria-sort": column.id !== view.sort ? "none" : view.down ? "descending" : "ascending" });
      const button = element("button", column.title + (column.id !== view.sort ? "" : view.down ? " ↓" : " ↑"), { type: "button", "data-sort": column.id });
      button.onclick = () => { view.down = view.sort === column.id ? !view.down : !!column.number; view.sort = column.id; draw(); };
      th.append(button);
      head.append(th);
    }
    byId("table").tHead.replaceChildren(head);
    const rows = found(), shown = view.all ? rows : rows.slice(0, PAGE);
    byId("table").tBodies[0].replaceChildren(...shown.map(row));
    byId("count").textContent = rows.length + " of " + data.runs.length + " runs" + (shown.length < rows.length ? ", the first " + shown.length : "");
    byId("more").hidden = shown.length === rows.length;
  }

  function row(run) {
    const tr = element("tr", null, { "data-run": name(run) });
    const box = element("input", null, { type: "checkbox", "aria-label": "compare " + run.label });
    box.checked = view.chosen.includes(name(run));
    tr.classList.toggle("chosen", box.checked);
    box.onchange = () => {
      view.chosen = view.chosen.filter((other) => other !== name(run));
      if (box.checked) view.chosen.push(name(run));
      tr.classList.toggle("chosen", box.checked);
      if (view.chosen.length > MOST) { view.chosen.shift(); drawTable(); } // else the table stays, and the focus in it
      keep();
      drawComparison();
    };
    const first = element("td", null, { "data-name": "compare" });
    first.append(box);
    tr.append(first);
    for (const column of COLUMNS) {
      const td = element("td", column.text ? column.text(run) : column.value(run), { "data-name": column.title });
      if (column.number) td.className = "number";
      if (column.id === "state") { td.textContent = ""; td.append(element("span", run.state, { class: "state " + run.state })); }
      if (column.id === "label" && run.message) td.append(element("div", run.message, { class: "message" }));
      tr.append(td);
    }
    return tr;
  }

  let chart = null;
  function drawComparison() {
    const chosen = view.chosen.map((key) => data.runs.find((run) => name(run) === key)).filter(Boolean);
    byId("comparison").hidden = data.runs.length === 0;
    byId("hint").hidden = chosen.length > 1;
    const curves = [...new Set(chosen.flatMap((run) => Object.keys(run.curves)))];
    if (!curves.includes(view.metric)) view.metric = curves[0] || "";
    byId("metric").replaceChildren(...curves.map((curve) => element("option", curve, { value: curve })));
    byId("metric").value = view.metric;
    drawChart(chosen.filter((run) => run.curves[view.metric]));
    drawDifference(chosen);
  }

  function drawChart(runs) {
    if (chart) { chart.destroy(); chart = null; }
    if (!runs.length) return;
    const ink = getComputedStyle(document.body).color, grid = getComputedStyle(document.documentElement).getPropertyValue("--line");
    const positive = (values) => view.log ? values.map((value) => value > 0 ? value : null) : values;
    const joined = uPlot.join(runs.map((run) => [run.curves[view.metric][0], positive(run.curves[view.metric][1])]));
    const single = (run) => run.curves[view.metric][0].length === 1;
    const series = runs.map((run, i) => ({ label: run.label + " [" + run.key + "]", stroke: COLOURS[i % MOST], dash: DASHES[i % MOST], width: 2, spanGaps: true, points: { show: single(run) || undefined }, value: (u, v) => v == null ? "–" : number(v) }));
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid } };
    chart = new uPlot({
      width: byId("chart").clientWidth, height: 360,
      scales: { x: { time: false }, y: { distr: view.log ? 3 : 1 } },
      series: [{ label: "step", value: (u, v) => v == null ? "–" : number(v) }, ...series],
      axes: [{ ...axis, label: "step" }, { ...axis, label: view.metric, size: 70 }],
    }, joined, byId("chart"));
  }

  function drawDifference(runs) {
    const table = byId("difference"), head = element("tr"), body = [];
    table.hidden = !runs.length;
    head.append(element("th", ""), ...runs.map((run) => element("th", run.label)));
    if (runs.length === 2) head.append(element("th", "first - second"));
    table.tHead.replaceChildren(head);
    const add = (title, values, isNumber) => {
      const tr = element("tr");
      tr.append(element("th", title), ...values.map((value) => element("td", isNumber ? number(value) : value === undefined ? "" : String(value), isNumber ? { class: "number" } : {})));
      if (runs.length === 2) tr.append(element("td", isNumber && values.every((v) => v != null) ? number(values[0] - values[1]) : "", { class: "number" }));
      body.push(tr);
    };
    add("state", runs.map((run) => run.state));
    for (const metric of [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))]) add(metric, runs.map((run) => run.metrics[metric]), true);
    const configs = runs.map(config);
    for (const key of [...new Set(configs.flatMap(Object.keys))].sort()) {
      const values = configs.map((c) => c[key]);
      if (runs.length === 1 ? key in runs[0].config : new Set(values.map(String)).size > 1) add(key, values);
    }
    if (runs.length) add("command", runs.map((run) => run.command));
    table.tBodies[0].replaceChildren(...body);
  }

  function draw() { keep(); drawTable(); drawComparison(); }

  const fill = (id, values) => byId(id).append(...values.map((value) => element("option", value, { value })));
  fill("experiment", [...new Set(data.runs.map((run) => run.experiment))].sort());
  fill("state", [...new Set(data.runs.map((run) => run.state))].sort());
  byId("sort").append(...COLUMNS.map((column) => element("option", column.title, { value: column.id })));
  for (const id of ["find", "experiment", "state", "sort", "metric"]) {
    byId(id).value = view[id];
    byId(id).addEventListener("input", () => { view[id] = byId(id).value; draw(); });
  }
  byId("log").checked = view.log;
  byId("log").onchange = () => { view.log = byId("log").checked; draw(); };
  byId("turn").onclick = () => { view.down = !view.down; draw(); };
  byId("more").onclick = () => { view.all = true; draw(); };
  byId("clear").onclick = () => { view.chosen = []; draw(); };
  for (const button of document.querySelectorAll("[data-copy]")) button.onclick = () => {
    navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "copied"; }, () => { button.textContent = "select it by hand"; });
  };
  addEventListener("resize", () => { if (chart) chart.setSize({ width: byId("chart").clientWidth, height: 360 }); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  document.body.dataset.ready = "yes";
  if (data.live) setTimeout(() => location.reload(), 1000 * data.reload);
})();
