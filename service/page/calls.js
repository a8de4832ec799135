// Every request to the service goes through `call`; what went wrong comes out as a sentence for people.

const ATTEMPTS = 5;
const PATIENCE_MS = 60_000;
const SILENT = "The service does not answer. Nothing is lost: see that it runs, then try again.";
const TYPES = "JPEG, PNG, WebP, GIF or AVIF";
const WORDS = {
  "image-empty": "This file is empty. Choose another picture.",
  "image-too-large": "This picture is too large to send. Choose a smaller one.",
  "unsupported-image-format": `This file is not a picture that can be read. Choose a ${TYPES}, or search by title alone.`,
  "image-too-many-pixels": "This picture has too many pixels. Scale it down and try again.",
  "image-too-small": "This picture is too small to tell anything. Choose one of at least 16 pixels a side.",
  "image-truncated": "The end of this picture is missing. Choose the whole file.",
  "image-malformed": "This picture is damaged. Export it again, or choose another.",
  "image-too-complex": "This picture is built in too complicated a way. Export it again as a plain JPEG.",
  "body-too-slow": "The picture took too long to arrive. Choose a smaller one, or try again on a faster network.",
  "title-empty": "The title is blank. Type some words, or leave it out.",
  "title-too-long": "The title is too long: 1,000 characters are the most.",
  "id-invalid": "This id cannot be used: 1 to 128 bytes, without slashes, spaces at an end, or dots alone.",
  "unknown-posting": "There is no posting with this id. It may have been removed.",
  "revision-mismatch": "Another posting already has this id. Choose another id.",
  "insufficient-storage": "The service's disk is full. Searching goes on; adding has to wait until there is room.",
  draining: "The service is stopping. Try again once it is back.",
};

/** Something to tell the person; `again` where the same try may succeed later. */
export class Trouble extends Error {
  constructor(message, again = false) {
    super(message);
    this.again = again;
  }
}

/**
 * Ask the service; gives its JSON and the answer's headers. Throws Trouble, or an AbortError once `signal` is aborted.
 * A service that is busy says when to come back: so long it waits, tells `waiting`, and asks again.
 */
export async function call(method, path, { body, headers, signal, waiting } = {}) {
  for (let attempt = 1; ; attempt++) {
    const either = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])]);
    const response = await fetch(path, { method, body, headers, signal: either }).catch(() => null);
    const answer = await response?.json().catch(() => null);
    signal?.throwIfAborted();
    if (!response || (response.ok && response.status !== 204 && !answer)) throw new Trouble(SILENT, true);
    if (response.ok) return { answer, headers: response.headers };
    const seconds = Number(response.headers.get("Retry-After"));
    if (!seconds || attempt === ATTEMPTS) throw refusal(response.status, answer ?? {});
    waiting?.(seconds);
    await pause(seconds * 1000, signal);
  }
}

function refusal(status, { type, detail, request_id: number }) {
  const words = WORDS[type?.split(":").at(-1)] ?? detail ?? `The service answered with status ${status}.`;
  return new Trouble(status === 500 ? `${words} Request ${number}.` : words, status >= 500 || status === 429);
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}

/** The path of a posting. Throws Trouble for an id that would lead to another path. */
export function postingPath(id) {
  if (/^\.{0,2}$|\//.test(id)) throw new Trouble(WORDS["id-invalid"]);
  return `v1/postings/${encodeURIComponent(id).replaceAll(".", "%2E")}`;
}
