"use strict";
// Draws the charts of the page from its one block of data, and lets filters act on charts and tables alike.

const data = JSON.parse(document.getElementById("data").textContent);
data.cases = rowsFrom(data.cases);
const form = document.getElementById("filters");
// A chart at first draws its first rows (or lines), as long as a filter then takes less than a blink.
const ROWS = 40;
const MARKS = 1500;
const FEWEST = 10; // however many marks they have

// The page holds rows by column, and texts once.
function rowsFrom(columns) {
  const lists = Object.entries(columns).map(([name, column]) => [name, column.texts ? column.at.map((at) => column.texts[at]) : column]);
  return (lists[0]?.[1] ?? []).map((_, row) => Object.fromEntries(lists.map(([name, list]) => [name, list[row]])));
}

let visible = data.cases.map(() => true);
const wholly = new Set(); // charts of which the reader asked for every case
const views = new Map();
const stale = new Set();

// --- charts

function rowsOf(name) {
  const chart = data.charts[name];
  chart.rows ??= rowsFrom(chart.values);
  const rows = chart.rows.filter((row) => visible[row.case]);
  const of = (row) => row.line ?? row.case;
  const marks = new Map();
  for (const row of rows) marks.set(of(row), (marks.get(of(row)) ?? 2) + (row.rounds?.flat().length ?? 1));
  let sum = 0;
  const fits = (one, place) => (sum += marks.get(one)) <= MARKS && place < ROWS;
  const kept = new Set([...marks.keys()].filter((one, place) => wholly.has(name) || fits(one, place) || place < FEWEST));
  return { rows: rows.filter((row) => kept.has(of(row))), kept: kept.size, of: marks.size };
}

async function draw(name) {
  stale.delete(name);
  const { rows, kept, of } = rowsOf(name);
  const holder = document.querySelector(`[data-chart="${name}"]`);
  const values = rows.map((row) => ({ ...data.cases[row.case], ...row }));
  if (views.has(name)) {
    await views.get(name).data("rows", values).runAsync();
  } else if (kept) { // without a row there may be no room either, and a chart takes its width when it is made
    views.set(name, await embed(name, holder, values));
  }
  holder.setAttribute("aria-hidden", String(rows.length === 0));
  tellMore(name, kept, of);
}

async function embed(name, holder, values) {
  const { spec, title } = data.charts[name];
  const narrow = Math.min(300, Math.floor(holder.clientWidth * 0.42));
  const config = { ...data.config, axisY: { ...data.config.axisY, labelLimit: narrow } };
  if (holder.clientWidth < 480) config.legend = { ...data.config.legend, columns: 1 };
  const whole = {
    ...spec, config, width: "container", background: null, description: `${title}. The table below has its data.`,
    data: { name: "rows", values },
  };
  const options = { actions: false, renderer: "svg" };
  return (await vegaEmbed(holder, whole, options)).view;
}

function tellMore(name, kept, of) {
  const line = document.querySelector(`[data-more="${name}"]`);
  line.hidden = kept > 0 && kept === of;
  line.textContent = kept ? `The first ${kept} of ${of} ${data.charts[name].tall ? "cases" : "lines"} are drawn; the table has all. ` : "No case is left: show more of them.";
  if (kept === of) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Draw all";
  button.addEventListener("click", () => { wholly.add(name); draw(name); });
  line.append(button);
}

// Charts in sight are drawn at once, the others when there is time or when they come into sight.
const inSight = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const name = target.dataset.chart;
    if (isIntersecting) inSight.add(name); else inSight.delete(name);
    if (isIntersecting && stale.has(name)) draw(name);
  }
});

let working = false;
function drawTheRest() {
  if (working) return;
  const [next] = stale;
  if (next === undefined) { document.documentElement.dataset.drawn = "all"; return; }
  working = true;
  // not requestIdleCallback: Chromium was seen never to call it on a page that nobody touches
  setTimeout(async () => { await draw(next); working = false; drawTheRest(); }, 20);
}

async function redraw() {
  document.documentElement.dataset.drawn = "none";
  for (const name of Object.keys(data.charts)) stale.add(name);
  await Promise.all([...inSight].map(draw));
  document.documentElement.dataset.drawn = "in sight";
  drawTheRest();
}

// --- filters

const chosen = () => {
  const values = {};
  for (const box of form.querySelectorAll("input")) (values[box.name] ??= new Set()).add(box.checked ? box.value : null);
  return values;
};

function filter() {
  const values = chosen();
  visible = data.cases.map((of) => Object.entries(values).every(([axis, wanted]) => of[axis] === "" || wanted.has(of[axis])));
  for (const row of document.querySelectorAll("tr[data-case]")) row.hidden = !row.dataset.case.split(" ").some((at) => visible[at]);
  const count = visible.filter(Boolean).length;
  const all = count === visible.length ? "all " : "";
  document.getElementById("shown").textContent = `${all}${count} ${all ? "" : `of ${visible.length} `}cases`;
  return redraw();
}

form.addEventListener("change", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
if (window.matchMedia("(max-width: 40rem)").matches) form.querySelector("details").open = false;

for (const button of document.querySelectorAll(".copy")) {
  const options = button.parentElement.querySelector("code").textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(options);
      button.textContent = "Copied";
    } catch { // a page that was opened from a file may not write there
      window.getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = "Selected";
    }
  });
}

for (const chart of document.querySelectorAll(".chart")) observer.observe(chart);
for (const name of Object.keys(data.charts)) stale.add(name);
drawTheRest();
