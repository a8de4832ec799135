// A field for one picture: chosen, dropped, pasted or photographed.

import { Trouble, call } from "./calls.js";

const MEGABYTE = 1024 * 1024;
let limits;

/** How large a picture may be; the service is asked once. */
async function largest() {
  limits ??= call("GET", "v1/limits").then(({ answer }) => answer.image_bytes);
  return limits.catch(() => {
    limits = undefined;
    return Infinity; // an offline service says so when it is asked for matches
  });
}

/** `picture` is null, or {blob, url, key, name}; `changed` is called after each change by the person. */
export class PictureField {
  constructor(place, { changed, failed }) {
    place.append(document.querySelector("template#picture-field").content.cloneNode(true));
    Object.assign(this, { place, changed, failed, picture: null });
    for (const input of place.querySelectorAll("input")) {
      input.addEventListener("change", () => this.take(input.files[0]).then(() => (input.value = "")));
    }
    place.querySelector("button").addEventListener("click", () => {
      this.show(null);
      place.querySelector("input").focus();
      this.changed();
    });
  }

  /** Take a file of the person's; one that cannot be read or sent leaves the field as it is. */
  async take(file) {
    if (!file) return;
    try {
      const most = await largest();
      if (file.size > most) throw new Trouble(tooLarge(file, most));
      // Read now: the file may have changed or gone by the time it is sent.
      const bytes = await file.arrayBuffer().catch(() => {
        throw new Trouble(`“${file.name}” cannot be read. Choose a picture file.`);
      });
      const blob = new Blob([bytes], { type: file.type });
      const url = URL.createObjectURL(blob); // never revoked: the way back shows it again
      this.show({ blob, url, key: url.split("/").at(-1), name: file.name });
      this.changed();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Show this picture, or none. */
  show(picture) {
    this.picture = picture;
    const image = this.place.querySelector("img");
    const name = this.place.querySelector("strong");
    image.hidden = !picture;
    image.onerror = () => (image.hidden = true);
    if (picture) image.src = picture.url;
    else image.removeAttribute("src");
    name.textContent = picture ? picture.name : "Choose a picture";
    this.place.querySelector("small").textContent = picture ? "choose another" : "or drop or paste one here";
    this.place.querySelector("button").hidden = !picture;
  }
}

function tooLarge(file, most) {
  const size = (file.size / MEGABYTE).toFixed(1);
  return `“${file.name}” has ${size} MB; ${Math.floor(most / MEGABYTE)} MB is the most. Choose a smaller picture.`;
}
