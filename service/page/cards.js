// Postings as elements. What comes from outside goes in as text, never as markup.

import { postingPath } from "./calls.js";

/** An element with these properties and children; strings become text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** The picture at this address, or a placeholder where there is none. */
export function frame(address) {
  const frame = make("span", { className: "frame" });
  const without = () => frame.replaceChildren(make("span", { textContent: "No picture kept" }));
  if (address) frame.append(make("img", { src: address, alt: "", loading: "lazy", onerror: without }));
  else without();
  return frame;
}

/** Where the small picture of a stored posting is. */
export const thumbnail = (id) => `${postingPath(id)}/image?size=thumbnail`;

/** A title as it was written, in its own direction. */
export const titled = (title) =>
  make("span", { className: title ? "title" : "title soft", dir: "auto", textContent: title ?? "Without a title" });

/** A posting of the catalogue to start from. */
export function postingCard(posting, href) {
  const hasPicture = posting.views.includes("image");
  return make("li", { className: "card" }, pick(posting.title, href, hasPicture && thumbnail(posting.posting_id)));
}

/** A match with its evidence. */
export function matchCard(match, href) {
  const card = make(
    "li",
    { className: "card" },
    pick(match.title, href, thumbnail(match.posting_id)),
    make("p", { className: "likely" }, make("strong", {}, percent(match.probability)), " likely the same product"),
    bars(match),
    make("code", {}, match.posting_id),
  );
  if (match.variant_conflict.length) card.append(make("p", {}, `But the titles differ: ${match.variant_conflict.join(", ")}`));
  return card;
}

/** The nearest posting that is no match; its title is null where it has none or could not be had. */
export function rejectedCard(rejected, title, href) {
  const contradiction = rejected.variant_conflict.join(", ");
  const why = contradiction
    ? `The titles contradict each other: ${contradiction}.`
    : `It scored ${rejected.score.toFixed(3)}; ${rejected.threshold.toFixed(3)} was needed.`;
  return make(
    "li",
    { className: "card" },
    pick(title, href, thumbnail(rejected.posting_id)),
    make("p", {}, why),
    bar("Overall", rejected.score, rejected.threshold),
    make("code", {}, rejected.posting_id),
  );
}

function pick(title, href, picture) {
  return make("a", { href, className: "pick" }, frame(picture), titled(title));
}

function percent(probability) {
  if (probability >= 0.995) return "Over 99 %";
  return probability < 0.01 ? "Under 1 %" : `${Math.round(probability * 100)} %`;
}

function bars(match) {
  const all = make("div", { className: "bars" }, bar("Overall", match.score, match.threshold));
  all.append(bar("Picture", match.image_score), bar("Title", match.title_score));
  if (match.lexical_score !== null) all.append(bar("Wording", match.lexical_score));
  return all;
}

function bar(label, score, needed = null) {
  const row = make("div", { className: needed === null ? "bar" : "bar overall" }, make("span", {}, label));
  if (score === null) {
    row.append(make("span", { className: "soft" }, "not on both sides"));
    return row;
  }
  const text = needed === null ? score.toFixed(3) : `${score.toFixed(3)}, needed ${needed.toFixed(3)}`;
  const track = make("span", {
    className: "track", role: "meter", ariaLabel: `${label} score`,
    ariaValueMin: "-1", ariaValueMax: "1", ariaValueNow: String(score), ariaValueText: text,
  });
  track.append(make("i", { className: "fill" }));
  track.style.setProperty("--score", Math.max(score, 0));
  if (needed !== null) {
    track.style.setProperty("--needed", Math.min(Math.max(needed, 0), 1));
    track.append(make("i", { className: "mark" }));
  }
  row.append(track, make("span", { className: "figure", ariaHidden: "true" }, score.toFixed(3)));
  return row;
}
