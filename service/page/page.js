// The page: its state is the address after the #, so that back, forward and links work; `render` shows that state.

import { Trouble, call, postingPath } from "./calls.js";
import { frame, make, matchCard, postingCard, rejectedCard, thumbnail, titled } from "./cards.js";
import { PictureField } from "./picture_field.js";

const WALL = 24;
const MOST_LISTED = 1000;
const STAGES = { decode: "decoding", image: "picture", title: "title", search: "search" };
const NEITHER = "Choose a picture, type a title, or both.";
const byId = (id) => document.getElementById(id);
const [results, heading, gallery, more, asked, back] = ["results", "heading", "gallery", "more", "asked", "back"].map(byId);
const [title, newTitle, newId, strictness] = ["title", "new-title", "new-id", "strictness"].map(byId);
const [addDialog, removeDialog, trouble, rejected, empty] = ["add", "remove", "trouble", "rejected", "empty"].map(byId);

const pictures = new Map(); // of all searches since the page was loaded, for the way back
let request = new AbortController();
let goal = "balanced";
let wallSize = WALL;
let news = ""; // what the next view tells beside its own
let shown = ""; // the address that is shown
let followed = false; // whether the page itself led to the next address, and not the browser's way back

// --- state ---------------------------------------------------------------------------------------------------------

/** The address of a state. */
function address(state) {
  const fields = new URLSearchParams(state);
  if (goal !== "balanced") fields.set("goal", goal);
  return `#${fields}`;
}

/** Go to a state; where it is the present one, it is asked again. */
function go(state) {
  const hash = address(state);
  if (hash === (location.hash || "#")) return render("forth");
  followed = true;
  location.hash = hash;
}

/** Show the state of the address; an earlier answer that is still to come is dropped. */
async function render(way) {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  const state = new URLSearchParams(location.hash.slice(1));
  const origin = way === "back" ? shown : null;
  shown = location.hash;
  goal = [...strictness.elements.goal].find(({ value }) => value === state.get("goal"))?.value ?? "balanced";
  strictness.elements.goal.value = goal;
  results.ariaBusy = "true";
  const slow = setTimeout(say, 500, "Searching…");
  try {
    const show = await viewOf(state, { signal, waiting: sayBusy });
    clear(state);
    byId("notice").textContent = news;
    news = "";
    show();
    if (way) arrive(origin);
  } catch (error) {
    if (signal.aborted) return;
    clear(state);
    heading.textContent = "That did not work";
    tell(trouble, error, () => render("forth"));
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) results.ariaBusy = "false";
    document.title = `${heading.textContent} – Kembar`;
  }
}

/** What a state shows: everything is fetched first, so that nothing is shown by halves. */
function viewOf(state, options) {
  if (!isQuery(state)) return wall(options);
  return state.has("posting") ? ofPosting(state.get("posting"), options) : ofSearch(state, options);
}

const isQuery = (state) => ["posting", "title", "picture"].some((name) => state.has(name));

function clear(state) {
  for (const part of [trouble, asked, strictness, more, rejected, empty]) part.hidden = true;
  back.hidden = !isQuery(state);
  back.href = address({});
  gallery.replaceChildren();
  say("");
}

/** Lead eye and focus: to the heading, or on the way back to what was left by. */
function arrive(origin) {
  const left = origin && [...results.querySelectorAll("li a")].find((link) => link.hash === origin);
  if (left) return left.focus();
  heading.focus({ preventScroll: true });
  if (back.hidden && !byId("notice").textContent) return scrollTo(0, 0); // the catalogue follows the form
  const { top } = results.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) results.scrollIntoView();
}

// --- views ---------------------------------------------------------------------------------------------------------

async function wall(options) {
  const { answer } = await call("GET", `v1/postings?limit=${wallSize}`, options);
  return () => {
    const cards = answer.postings.map((posting) => postingCard(posting, address({ posting: posting.posting_id })));
    empty.hidden = cards.length > 0;
    heading.textContent = cards.length ? "Or start from one of these" : "The catalogue is empty";
    gallery.className = "wall";
    gallery.append(...cards);
    more.hidden = !answer.next_cursor || wallSize === MOST_LISTED;
  };
}

async function showMore() {
  const before = gallery.children.length;
  wallSize = Math.min(wallSize + WALL, MOST_LISTED);
  await render();
  gallery.children[before]?.querySelector("a").focus();
}

async function ofPosting(id, options) {
  const path = postingPath(id);
  const [{ answer: posting }, found] = await Promise.all([
    call("GET", path, options),
    call("GET", `${path}/matches?goal=${goal}`, options),
  ]);
  const nearest = await nearestOf(found.answer, options);
  return () => {
    const remove = make("button", { type: "button", className: "plain", textContent: "Remove" });
    remove.addEventListener("click", () => askToRemove(posting));
    const picture = frame(posting.views.includes("image") && thumbnail(id));
    showAsked(picture, titled(posting.title), make("code", {}, id), remove);
    showMatches(found, nearest);
  };
}

async function ofSearch(state, options) {
  const picture = state.has("picture") ? pictures.get(state.get("picture")) : null;
  const text = state.get("title");
  if (picture === undefined) throw new Trouble("This search's picture went when the page was loaded anew. Choose it again.");
  const body = formOf(picture, text);
  body.set("goal", goal);
  const found = await call("POST", "v1/matches", { body, ...options });
  const nearest = await nearestOf(found.answer, options);
  return () => {
    const add = make("button", { type: "button", className: "plain", textContent: "Add to the catalogue" });
    add.addEventListener("click", () => openAdd(picture, text ?? ""));
    const name = text ? titled(text) : make("span", { className: "title" }, picture.name);
    showAsked(picture && frame(picture.url), name, make("span", { className: "soft" }, "Your search"), add);
    showMatches(found, nearest);
  };
}

function formOf(picture, text) {
  const form = new FormData();
  if (picture) form.set("image", picture.blob, "picture");
  if (text) form.set("title", text);
  return form;
}

/** The card of the nearest rejected posting; its title is not in the answer. */
async function nearestOf({ best_rejected: nearest }, options) {
  if (!nearest) return null;
  const found = await call("GET", postingPath(nearest.posting_id), options).catch(() => null);
  return rejectedCard(nearest, found?.answer.title ?? null, address({ posting: nearest.posting_id }));
}

function showAsked(picture, name, detail, action) {
  asked.replaceChildren(...(picture ? [picture] : []), make("div", {}, name, detail), action);
  asked.hidden = false;
}

function showMatches({ answer, headers }, nearest) {
  const { matches } = answer;
  heading.textContent = (answer.limit_reached ? "The best " : "") + counted(matches);
  strictness.hidden = false;
  gallery.className = "matches";
  gallery.append(...matches.map((match) => matchCard(match, address({ posting: match.posting_id }))));
  rejected.hidden = !nearest;
  rejected.querySelector("ol").replaceChildren(...(nearest ? [nearest] : []));
  say([...remarks(answer), timing(answer, headers)].join(" "));
}

const counted = (matches) => (matches.length === 1 ? "1 match" : `${matches.length || "No"} matches`);

function remarks({ matches, limit_reached: limited, best_rejected: nearest }) {
  const found = [];
  if (limited) found.push("There are more; these are the best.");
  if (!matches.length) found.push(nearest ? "The nearest posting is below the line." : "Nothing comes near.");
  if (matches.some((match) => !match.goal_supported)) {
    found.push("The line at this strictness was learned from few examples: take it as a hint.");
  }
  return found;
}

function timing({ took_ms: ms }, headers) {
  const spent = new Map((headers.get("Server-Timing") ?? "").split(", ").map((stage) => stage.split(";dur=")));
  const stages = Object.keys(STAGES).filter((stage) => spent.has(stage));
  const told = stages.map((stage) => `${STAGES[stage]} ${spent.get(stage)}`).join(", ");
  return `Answered in ${ms.toFixed(1)} ms${told && ` (${told})`}.`;
}

// --- telling -------------------------------------------------------------------------------------------------------

function say(text) {
  byId("summary").textContent = text;
}

function sayBusy(seconds) {
  say(`The service is busy; trying again in ${seconds} s…`);
}

/** Say what went wrong, with a button where another try may help. */
function tell(place, error, again) {
  const isKnown = error instanceof Trouble;
  place.replaceChildren(make("p", {}, isKnown ? error.message : "Something broke on this page. Load it anew."));
  if (error.again) {
    const button = make("button", { type: "button", className: "plain", textContent: "Try again" });
    button.addEventListener("click", again);
    place.append(button);
  }
  place.hidden = false;
  const { top, bottom } = place.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) place.scrollIntoView({ block: "center" });
  if (!isKnown) reportError(error);
}

// --- search, add, remove -------------------------------------------------------------------------------------------

function search() {
  const { picture } = searched;
  const state = title.value.trim() ? { title: title.value } : {};
  if (picture) {
    pictures.set(picture.key, picture);
    state.picture = picture.key;
  }
  if (picture || state.title) go(state);
  else tell(trouble, new Trouble(NEITHER));
}

function openAdd(picture, text) {
  if (picture) added.show(picture);
  if (text) newTitle.value = text;
  newId.value ||= `try-${Math.random().toString(36).slice(2, 8)}`;
  addDialog.showModal();
}

async function add() {
  if (!added.picture && !newTitle.value.trim()) throw new Trouble(NEITHER);
  const id = newId.value;
  const options = { body: formOf(added.picture, newTitle.value.trim() && newTitle.value), waiting: sayBusy };
  const headers = { "If-None-Match": "*" }; // whatever has this id already stays as it is
  const { matches } = (await call("PUT", `${postingPath(id)}?matches=true`, { ...options, headers })).answer.matches;
  news = `“${id}” is stored. ${matches.length ? `It shows the same product as ${matches.length} of the others.` : "It matches no other."}`;
  added.show(null);
  newTitle.value = newId.value = "";
  go({ posting: id });
}

function askToRemove({ posting_id: id, title: name }) {
  removeDialog.returnValue = id;
  removeDialog.querySelector("[data-name]").textContent = `“${name ?? id}”`;
  removeDialog.showModal();
}

async function remove() {
  const id = removeDialog.returnValue;
  await call("DELETE", postingPath(id), { waiting: sayBusy });
  news = `“${id}” is removed.`;
  followed = true;
  location.replace(address({}));
}

/** Let a dialog do its work once at a time; it closes when that went well, and says so where it did not. */
function serve(dialog, work) {
  const alert = dialog.querySelector("[role=alert]");
  const form = dialog.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (dialog.ariaBusy === "true") return;
    dialog.ariaBusy = "true";
    alert.hidden = true;
    try {
      await work();
      dialog.close();
    } catch (error) {
      tell(alert, error, () => form.requestSubmit());
    } finally {
      dialog.ariaBusy = "false";
    }
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => (alert.hidden = true));
}

// --- wiring --------------------------------------------------------------------------------------------------------

const searched = new PictureField(document.querySelector("#search [data-picture-field]"), {
  changed: () => searched.picture && search(),
  failed: (error) => tell(trouble, error),
});
const added = new PictureField(addDialog.querySelector("[data-picture-field]"), {
  changed: () => {},
  failed: (error) => tell(addDialog.querySelector("[role=alert]"), error),
});
serve(addDialog, add);
serve(removeDialog, remove);
more.addEventListener("click", showMore);
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
strictness.addEventListener("change", () => {
  const state = new URLSearchParams(location.hash.slice(1));
  state.delete("goal");
  goal = strictness.elements.goal.value;
  history.replaceState(null, "", address(state));
  render();
});
for (const button of document.querySelectorAll("[data-add]")) {
  button.addEventListener("click", () => openAdd(searched.picture, title.value));
}
back.addEventListener("click", (event) => {
  if (!window.navigation?.canGoBack) return; // opened by a link: back is the catalogue
  event.preventDefault();
  history.back();
});
document.addEventListener("click", (event) => {
  if (event.target.closest('a[href^="#"]') && !event.defaultPrevented) followed = true;
});
addEventListener("hashchange", () => {
  render(followed ? "forth" : "back");
  followed = false;
});
addEventListener("paste", (event) => takeFrom(event, event.clipboardData));
addEventListener("drop", (event) => takeFrom(event, event.dataTransfer));
for (const [kind, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  addEventListener(kind, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return; // text goes into the title as anywhere else
    event.preventDefault();
    document.body.classList.toggle("dragging", isOver);
  });
}

function takeFrom(event, transfer) {
  if (!transfer.files.length) return;
  event.preventDefault();
  (addDialog.open ? added : searched).take(transfer.files[0]);
}

empty.querySelector("[data-origin]").textContent = location.origin;
title.value ||= new URLSearchParams(location.hash.slice(1)).get("title") ?? "";
render();
