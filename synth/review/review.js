"use strict";
// The page holds the draft and asks the server about every change. Texts of documents are only ever set as text, never as markup.

// The key comes in the fragment of the printed address, which is sent nowhere, and goes into the storage of this tab and port.
if (location.hash.length > 1) {
  sessionStorage.setItem("key", location.hash.slice(1));
  history.replaceState(null, "", "/");
}
const key = sessionStorage.getItem("key") ?? "";
const $ = (id) => document.getElementById(id);
const KEYS = [
  ["n / p", "next, previous question"], ["j / k", "next, previous clue"],
  ["o / O", "the clue vaguer, more exact"], ["d", "leave the clue out, or take it back in"],
  ["a", "accept; what was changed is verified first"], ["r, then 1–7", "reject, and why"], ["u", "unsure"],
  ["e", "edit the words; Escape ends it"], ["v", "verify the draft"], ["z", "take back the last decision or fact"],
  ["t", "next page of evidence"], ["1 2 3", "questions, facts, agreement"],
  ["/", "search pages"], ["f", "the selected words are a fact"], ["c", "make a question of the chosen facts"], ["?", "this list"],
];
let state = null, view = null, draft = null, clue = 0, tab = 0, rejecting = false, selection = null, mode = "read", asked = 0;

async function call(name, given = {}) {
  const response = await fetch(`/api/${name}`, {
    method: "POST", body: JSON.stringify(given), headers: { "Content-Type": "application/json", "X-Review-Key": key },
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function say(words, bad = false) { $("said").textContent = words; $("said").className = bad ? "bad" : ""; }

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// What there is to read

async function refresh() {
  state = await call("state");
  const done = state.queue.filter((entry) => entry.decision).length;
  $("progress").textContent = `${state.reviewer}: ${done} of ${state.queue.length} read`;
  $("queue").replaceChildren(...state.queue.map((entry) => {
    const row = element("li");
    const button = element("button", "", { type: "button", "data-name": entry.name });
    button.append(element("span", entry.question));
    if (draft && entry.name === draft.item) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => open(entry.name));
    row.append(element("span", entry.decision || (entry.flagged ? "flagged" : "open"), { class: `mark ${entry.decision || (entry.flagged ? "flagged" : "open")}` }), button);
    return row;
  }));
  showFacts();
  showSummary();
}

async function open(name) {
  draft = { item: name };
  show(await call("item", { name }));
  for (const button of $("queue").querySelectorAll("button")) button.toggleAttribute("aria-current", button.dataset.name === name);
  $("queue").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function neighbour(step) {
  if (!state.queue.length) return say("Nothing is in the queue.");
  const place = state.queue.findIndex((entry) => draft && entry.name === draft.item);
  open(state.queue[(place + step + state.queue.length) % state.queue.length].name);
}

function nextOpen() {
  const place = state.queue.findIndex((entry) => draft && entry.name === draft.item);
  const rest = [...state.queue.slice(place + 1), ...state.queue.slice(0, place + 1)];
  const next = rest.find((entry) => !entry.decision);
  if (next) open(next.name); else say("All questions have a decision.");
}

// The draft

function show(answer) {
  view = { verdicts: {}, turns: [], ...answer };
  draft = answer.draft;
  clue = 0; tab = 0; rejecting = false;
  render();
}

async function change(next) {
  const turn = ++asked;
  const answer = await call("draft", { draft: next });
  if (turn !== asked) return; // a later change is on its way
  view = { ...view, ...answer, verdicts: {} };
  draft = answer.draft;
  render();
}

function render() {
  $("question").textContent = view.question;
  $("answer").textContent = view.answer;
  $("asked").textContent = view.asked ? `(${view.asked} of page ${view.target + 1})` : `(title of page ${view.target + 1})`;
  $("flags").textContent = view.flagged ? "No try of the model was right: is the question broken, or hard?" : draft.item ? "" : "New question";
  const unique = view.num_answers === 1;
  $("count").className = unique ? "good" : "bad";
  $("count").textContent = unique ? "1 answer in this corpus" : `${view.num_answers} answers: ${view.answers.join(" · ")}${view.num_answers > view.answers.length ? " …" : ""}`;
  $("clues").replaceChildren(...view.clues.map(clueRow));
  $("reasons").hidden = !rejecting;
  $("reasons").replaceChildren(...state.reasons.map((reason, index) => {
    const button = element("button", reason.replaceAll("_", " "), { type: "button" });
    button.append(" ", element("kbd", String(index + 1)));
    button.addEventListener("click", () => reject(index));
    const row = element("li"); row.append(button); return row;
  }));
  showVerdicts();
  $("turns").replaceChildren(...view.turns.map(turnRow));
  $("tabs").replaceChildren(...view.pages.map((page, index) => {
    const button = element("button", `${page.variable + 1} ${page.title}`, { type: "button", role: "tab", "aria-selected": String(index === tab) });
    button.addEventListener("click", () => { tab = index; render(); });
    return button;
  }));
  const page = view.pages[tab];
  if (page) marked($("evidence"), page.text, page.spans.map(([start, length, of]) => [start, length, of < 0 ? "answer" : `hop-${of % 6}${of === clue ? " current" : ""}`]));
  $("evidence").querySelector(".current, .answer")?.scrollIntoView({ block: "nearest" });
}

function clueRow(shown, index) {
  const row = element("li", "", { class: `hop-${index % 6}${index === clue ? " current" : ""}${shown.level === null ? " out" : ""}` });
  const words = shown.level === null ? "left out" : shown.object === null ? shown.words[shown.level] : `page ${shown.object + 1}`;
  const line = element("button", "", { type: "button", title: `in truth: ${shown.value}`, "aria-pressed": String(index === clue) });
  line.append(element("span", `page ${shown.subject + 1} · ${shown.relation}: `), element("strong", words));
  line.addEventListener("click", () => { clue = index; render(); });
  row.append(line);
  if (shown.object === null && shown.words.length > 1 && shown.level !== null) {
    const slider = element("input", "", { type: "range", min: 0, max: shown.words.length - 1, value: shown.level, "aria-label": `How vague clue ${index + 1} is`, title: "exact to vague" });
    slider.addEventListener("input", () => { clue = index; setLevel(Number(slider.value)); });
    row.append(slider);
  }
  row.append(element("small", `in truth: ${shown.value}`, { class: "truth" }));
  return row;
}

function setLevel(level) {
  const levels = [...draft.levels];
  levels[clue] = level;
  const { question, ...rest } = draft; // other clues, other words
  change({ ...rest, levels }).catch(failed);
}

function vaguer(step) {
  const shown = view.clues[clue];
  if (!shown) return;
  if (draft.levels[clue] === null) return say("This clue is left out: d takes it back in.");
  if (shown.object !== null) return say("This clue leads from page to page and has one form: d leaves it out.");
  if (shown.words.length < 2) return say("This clue has one form: d leaves it out.");
  setLevel(Math.min(shown.words.length - 1, Math.max(0, draft.levels[clue] + step)));
}

function showVerdicts() {
  const rows = Object.entries(view.verdicts).map(([name, verdict]) => {
    const row = element("tr"), { passed, ...numbers } = verdict;
    row.append(element("td", passed ? "✓" : "✗", { class: passed ? "good" : "bad" }), element("th", name.replaceAll("_", " "), { scope: "row" }),
      element("td", Object.entries(numbers).map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ")));
    return row;
  });
  if (!rows.length) { const row = element("tr"); row.append(element("td", "Changed: press v to verify, or a to verify and accept.")); rows.push(row); }
  $("verdicts").tBodies[0].replaceChildren(...rows);
}

function turnRow(turn) {
  const row = element("li", "", { class: turn.role });
  if (turn.think) row.append(element("p", turn.think, { class: "think" }));
  if (turn.text) row.append(element("p", turn.text));
  for (const [name, given] of turn.calls) row.append(element("code", `${name} ${JSON.stringify(given)}`));
  for (const response of turn.responses) row.append(element("pre", response));
  return row;
}

function marked(target, text, spans) {
  const parts = [];
  let at = 0;
  const chars = Array.from(text); // the server counts code points
  for (const [start, length, kind] of spans) {
    if (start < at) continue;
    parts.push(chars.slice(at, start).join(""), element("mark", chars.slice(start, start + length).join(""), { class: kind }));
    at = start + length;
  }
  parts.push(chars.slice(at).join(""));
  target.replaceChildren(...parts);
}

// Decisions

async function decide(action, reason = "") {
  say(action === "accept" ? "Verifying …" : "");
  const answer = await call("decide", { draft, action, reason });
  if (!answer.kept) {
    view.verdicts = answer.verdicts;
    render();
    return say("Not kept: a verifier does not pass. Change the draft, or reject the question.", true);
  }
  say({ accept: "Accepted.", edit: "Verified and kept as edited.", new: "Verified and kept as a new question.", reject: `Rejected: ${reason.replaceAll("_", " ")}.`, unsure: "Left open." }[answer.kept]);
  await refresh();
  nextOpen();
}

function reject(index) { rejecting = false; decide("reject", state.reasons[index]).catch(failed); }

async function verify() {
  say("Verifying …");
  const answer = await call("verdicts", { draft });
  view.verdicts = answer.verdicts;
  render();
  say(answer.passed ? "Every verifier passes." : "A verifier does not pass.", !answer.passed);
}

async function undo() {
  const { item, action } = await call("undo");
  say(`Taken back: ${action}.`);
  await refresh();
  if (state.queue.some((entry) => entry.name === item)) open(item);
}

function edit() {
  $("own").hidden = false;
  $("own").value = view.question;
  $("own").focus();
}

function endEdit() {
  if ($("own").hidden) return;
  $("own").hidden = true;
  const question = $("own").value.trim();
  $("question").focus();
  if (question && question !== view.question) change({ ...draft, question }).catch(failed);
}

// Facts

async function search() {
  const found = await call("pages", { query: $("search").value });
  $("found").replaceChildren(...found.map((page) => {
    const button = element("button", page.title, { type: "button" });
    button.addEventListener("click", () => openPage(page.id).catch(failed));
    const row = element("li"); row.append(button); return row;
  }));
}

async function openPage(id) {
  const page = await call("page", { id });
  $("page-title").textContent = page.title;
  $("page-text").dataset.id = id;
  marked($("page-text"), page.text, page.facts.map(([start, length, relation]) => [start, length, "fact"]).sort((a, b) => a[0] - b[0]));
  $("page-text").focus();
}

function selected() {
  const chosen = getSelection();
  if (!chosen.rangeCount || chosen.isCollapsed || !$("page-text").contains(chosen.anchorNode)) return null;
  const range = chosen.getRangeAt(0), before = document.createRange();
  before.selectNodeContents($("page-text"));
  before.setEnd(range.startContainer, range.startOffset);
  const start = Array.from(before.toString()).length, length = Array.from(range.toString()).length;
  return { page: $("page-text").dataset.id, start, length, text: range.toString() };
}

async function addFact() {
  if (!selection) return say("Select words of the page first.", true);
  const { text, ...place } = selection;
  await call("fact", { ...place, relation: $("relation").value });
  $("relation").value = "";
  await refresh();
  await openPage(place.page);
  say(`Kept: ${text}`);
}

function showFacts() {
  const chosen = new Set([...document.querySelectorAll("#facts input[type=checkbox]:checked")].map((box) => box.value));
  const asked = document.querySelector("#facts input[type=radio]:checked")?.value;
  $("facts").replaceChildren(...state.facts.map((fact) => {
    const row = element("li");
    const clueBox = element("input", "", { type: "checkbox", value: fact.number, "aria-label": "a clue" });
    const answerBox = element("input", "", { type: "radio", name: "asked", value: fact.number, "aria-label": "the answer" });
    clueBox.checked = chosen.has(String(fact.number));
    answerBox.checked = asked === String(fact.number);
    const boxes = element("span");
    boxes.append("clue ", clueBox, " answer ", answerBox);
    row.append(boxes, element("span", `${fact.title} · ${fact.relation}: `), element("strong", fact.value));
    return row;
  }));
}

async function compose() {
  const facts = [...document.querySelectorAll("#facts input[type=checkbox]:checked")].map((box) => Number(box.value));
  const answer = document.querySelector("#facts input[type=radio]:checked");
  if (!facts.length || !answer) return say("Choose the fact that is asked for, and at least one other as a clue.", true);
  const made = await call("draft", { draft: { facts, answer: Number(answer.value) } });
  select("read");
  show({ ...made, flagged: false });
}

function showSummary() {
  const { decisions, agreement, acceptance } = state.summary;
  const percent = (share) => `${Math.round(100 * share)} %`;
  const lines = [
    ...Object.entries(decisions).map(([action, count]) => `${action}: ${count}`),
    ...agreement.map((pair) => `${pair.reviewers.join(" and ")}: ${pair.items} items read by both, kappa ${pair.kappa === null ? "–" : pair.kappa.toFixed(2)}`),
    ...acceptance.map((row) => `${row.generator}: ${row.accepted} of ${row.read} accepted, ${percent(row.interval[0])} to ${percent(row.interval[1])} with 95 % confidence`),
  ];
  $("summary").replaceChildren(...(lines.length ? lines : ["Nothing was read yet."]).map((line) => element("p", line)));
}

// Keys

function select(name) {
  if (name !== mode) say("");
  mode = name;
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
  for (const button of document.querySelectorAll("nav [data-view]")) button.toggleAttribute("aria-current", button.dataset.view === name);
  if (name === "extract" && !$("found").childElementCount) search().catch(failed);
}

function failed(error) { say(error.message, true); }

const reading = {
  n: () => neighbour(1), p: () => neighbour(-1), j: () => move(1), k: () => move(-1), o: () => vaguer(1), O: () => vaguer(-1),
  d: () => view && setLevel(draft.levels[clue] === null ? 0 : null), a: () => decide("accept"), u: () => decide("unsure"), e: edit, v: verify,
  r: () => { rejecting = true; render(); }, t: () => { tab = (tab + 1) % view.pages.length; render(); },
};
const extracting = {
  "/": () => $("search").focus(), c: compose,
  f: () => { selection = selected() || selection; $("selected").textContent = selection?.text ?? ""; $("relation").focus(); },
};

function move(step) { clue = (clue + step + view.clues.length) % view.clues.length; render(); }

function press(key) {
  if (key === "?") return $("help").showModal();
  if (key === "z") return undo().catch(failed);
  if (rejecting && /^[1-9]$/.test(key) && state.reasons[key - 1]) return reject(key - 1);
  rejecting = false;
  if (/^[123]$/.test(key)) return select(["read", "extract", "standing"][key - 1]);
  if (mode === "read" && !view) return;
  const action = { read: reading, extract: extracting }[mode]?.[key];
  if (action) Promise.resolve(action()).catch(failed);
  return action;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { endEdit(); rejecting = false; if (view) render(); document.activeElement?.blur?.(); return; }
  const typing = event.target.closest("textarea, input:not([type=range]):not([type=checkbox]):not([type=radio])");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const known = event.key === "?" || "z123456789".includes(event.key) || reading[event.key] || extracting[event.key];
  if (known) { event.preventDefault(); press(event.key); }
});
for (const button of document.querySelectorAll("[data-key]")) button.addEventListener("click", () => press(button.dataset.key));
for (const button of document.querySelectorAll("nav [data-view]")) button.addEventListener("click", () => select(button.dataset.view));
$("help-button").addEventListener("click", () => $("help").showModal());
$("own").addEventListener("blur", endEdit);
$("search").addEventListener("input", () => search().catch(failed));
$("fact-form").addEventListener("submit", (event) => { event.preventDefault(); addFact().catch(failed); });
document.addEventListener("selectionchange", () => { const now = selected(); if (now) { selection = now; $("selected").textContent = now.text; } });
$("help").querySelector("dl").replaceChildren(...KEYS.flatMap(([key, meaning]) => [element("dt", key), element("dd", meaning)]));

select("read");
refresh().then(() => { if (state.queue.length) nextOpen(); else say("Nothing is in the queue."); }).catch(failed);
