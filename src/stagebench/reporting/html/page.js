"use strict";
// Draws the charts of the page from its one block of data, and lets filters act on charts and tables alike.

const data = JSON.parse(document.getElementById("data").textContent);
const axes = JSON.parse(document.getElementById("axes").textContent);
const form = document.getElementById("filters");
const POINTS = 1500; // marks in one chart, beyond which fewer cases are drawn at first
const FEWEST = 10; // cases that are drawn however many marks they have

let visible = data.cases.map(() => true);
const wholly = new Set(); // charts of which the reader asked for every case
const views = new Map();
const stale = new Set();

// --- charts

function rowsOf(name) {
  const { values, tall } = data.charts[name];
  const rows = values.filter((row) => visible[row.case]);
  if (!tall || wholly.has(name)) return { rows, left: 0 };
  const order = [...new Set(rows.map((row) => row.case))];
  const marks = new Map();
  for (const row of rows) marks.set(row.case, (marks.get(row.case) ?? 0) + (row.rounds?.length ?? 1) + 2);
  let sum = 0;
  const kept = new Set(order.filter((one, place) => (sum += marks.get(one)) <= POINTS || place < FEWEST));
  return { rows: rows.filter((row) => kept.has(row.case)), left: order.length - kept.size };
}

async function draw(name) {
  stale.delete(name);
  const { rows, left } = rowsOf(name);
  const holder = document.querySelector(`[data-chart="${name}"]`);
  const values = rows.map((row) => ({ ...data.cases[row.case], ...row }));
  if (views.has(name)) {
    await views.get(name).data("rows", values).runAsync();
  } else {
    views.set(name, await embed(name, holder, values));
  }
  holder.setAttribute("aria-hidden", String(rows.length === 0));
  tellMore(name, rows.length === 0, left);
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

function tellMore(name, empty, left) {
  const line = document.querySelector(`[data-more="${name}"]`);
  line.hidden = !empty && !left;
  line.textContent = empty ? "No case is left: show more of them." : `${left} more cases are not drawn; the tables have them. `;
  if (!left) return;
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
}, { rootMargin: "200px" });

const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 20));
let working = false;
function drawTheRest() {
  if (working) return;
  const [next] = stale;
  if (next === undefined) { document.documentElement.dataset.drawn = "all"; return; }
  working = true;
  idle(async () => { await draw(next); working = false; drawTheRest(); });
}

async function redraw() {
  document.documentElement.dataset.drawn = "";
  for (const name of Object.keys(data.charts)) stale.add(name);
  await Promise.all([...inSight].map(draw));
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
  visible = axes.map((of) => Object.entries(values).every(([axis, wanted]) => wanted.has(of[axis])));
  for (const row of document.querySelectorAll("tr[data-case]")) row.hidden = !visible[row.dataset.case];
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
