// Tooltips, keyboard reading of charts, and the filter of the rejects. The page is complete without it.
"use strict";

const tip = document.getElementById("tip");

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((words) => {
    const line = document.createElement("p");
    line.append(...words.map((word) => Object.assign(document.createElement("span"), { textContent: word })));
    return line;
  }));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - box.width - 14 : x + 14;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - box.height - 8))}px`;
}

function hideTip() {
  tip.hidden = true;
}

// The browser's own tooltips are slow and do not follow the pointer: titles of drawings become labels, titles of marks ours.
function adoptTitles() {
  for (const title of document.querySelectorAll("svg title")) {
    const owner = title.parentElement;
    owner.setAttribute("aria-label", title.textContent);
    if (owner.matches(".mark")) {
      const text = title.textContent;
      owner.addEventListener("pointermove", (event) => showTip([[text]], event.clientX, event.clientY));
      owner.addEventListener("pointerleave", hideTip);
    }
    title.remove();
  }
}

function readable(plot) {
  const at = plot.dataset.at.split(" ").map(Number);
  const names = plot.dataset.x.split(" ");
  const stages = [...plot.querySelectorAll(".stage")];
  const lines = [...plot.querySelectorAll(".line")].map((line) => [line.dataset.label, line.dataset.values.split(" ")]);
  const cross = Object.assign(document.createElement("div"), { className: "cross", hidden: true });
  plot.append(cross);
  let index = -1;

  function stageAt(percent) {
    const stage = stages.findLast((band) => parseFloat(band.style.left) <= percent + 0.01);
    return stage ? [[stage.title]] : [];
  }

  function read(next, y) {
    index = Math.max(0, Math.min(at.length - 1, next));
    const box = plot.getBoundingClientRect();
    cross.hidden = false;
    cross.style.left = `${at[index]}%`;
    const values = lines.filter(([, words]) => words[index] !== "-").map(([label, words]) => [label, words[index]]);
    const head = [`${plot.dataset.name} ${names[index]}`];
    showTip([head, ...stageAt(at[index]), ...values], box.left + (at[index] / 100) * box.width, y ?? box.top + box.height / 3);
  }

  function leave() {
    cross.hidden = true;
    hideTip();
  }

  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const percent = (100 * (event.clientX - box.left)) / box.width;
    const nearest = at.reduce((best, here, i) => (Math.abs(here - percent) < Math.abs(at[best] - percent) ? i : best), 0);
    read(nearest, event.clientY);
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: index + 1, ArrowLeft: index - 1, PageDown: index + 10, PageUp: index - 10, Home: 0, End: at.length - 1 };
    if (event.key === "Escape") leave();
    if (!(event.key in moves)) return;
    event.preventDefault();
    read(moves[event.key]);
  });
}

function filterable(form) {
  const items = [...document.querySelectorAll("ul.rejects > li")];
  const texts = items.map((item) => item.textContent.toLowerCase());
  const output = form.querySelector("output");

  function apply() {
    const wanted = new FormData(form);
    const search = wanted.get("search").trim().toLowerCase();
    let shown = 0;
    items.forEach((item, i) => {
      const fits = ["corpus", "step", "reason"].every((name) => !wanted.get(name) || item.dataset[name] === wanted.get(name));
      item.hidden = !(fits && texts[i].includes(search));
      shown += item.hidden ? 0 : 1;
    });
    output.textContent = `${shown} of ${items.length} shown`;
  }

  form.addEventListener("input", apply);
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}

adoptTitles();
document.querySelectorAll(".plot").forEach(readable);
document.querySelectorAll(".filters").forEach(filterable);
