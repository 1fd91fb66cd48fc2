// What the page tells Beckon, as it is told; and what makes half an hour pass in three seconds.

import { allow, beginning, inHurry, isLoaded, mustAsk, reminderDue } from "/js/beckon.js";
import { setHurry, signedInTwoWeeksAgo, told, trouble } from "/js/beckon.js";
import { count } from "/js/cart.js";
import { config } from "/js/config.js";
import { clock, find, h, redraw } from "/js/dom.js";
import { beSomebodyElse, current } from "/js/person.js";
import { read, write } from "/js/storage.js";

const MOST_SHOWN = 50;
const DAY_MS = 24 * 60 * 60 * 1000;

const dot = h("span", { class: "dot" });
const number = h("span", { class: "count" });
const who = h("div", {});
const next = h("p", { class: "next", role: "status" });
const list = h("ol", { class: "events" });
let listed = 0;

export function begin() {
  const hurry = h("input", { type: "checkbox", role: "switch", checked: inHurry(), onchange: () => setHurry(hurry.checked) });
  const panel = h(
    "details",
    { open: read("panel", false), ontoggle: () => write("panel", panel.open) },
    h("summary", {}, dot, h("span", {}, h("span", { class: "long" }, "What this page tells "), "Beckon"), number),
    h(
      "div",
      { class: "inside" },
      who,
      next,
      config.inbox &&
        h("p", {}, h("a", { class: "button", href: config.inbox, target: "_blank", rel: "noopener" }, "Open the inbox ↗")),
      h(
        "label",
        { class: "switch" },
        hurry,
        h(
          "span",
          {},
          h("b", {}, "Hurry: date events back by 29 min 57 s."),
          " Half an hour has passed three seconds after you fill the cart; the rules stay as they are.",
        ),
      ),
      h("h2", {}, "Events, the latest first"),
      list,
    ),
  );
  find("panel").append(panel);
  for (const name of ["beckon", "cart", "person"]) document.addEventListener(name, draw);
  draw();
}

function draw() {
  drawWho();
  next.replaceChildren(...[outlook()].flat());
  number.textContent = told.length;
  if (listed === told.length) return;
  list.prepend(...told.slice(0, told.length - listed).map(entry));
  listed = told.length;
  while (list.childElementCount > MOST_SHOWN) list.lastElementChild.remove();
  dot.getAnimations().forEach((animation) => animation.cancel());
  dot.animate({ scale: [1, 2.2, 1] }, 600);
}

function drawWho() {
  const person = current();
  const somebody = (text, tell) =>
    h("button", { "data-key": tell ? "two weeks" : "now", disabled: !isLoaded(), onclick: () => beSomebodyElse(tell) }, text);
  redraw(
    who,
    h("p", {}, ...(person ? ["You are ", h("b", {}, person.first_name), `, ${person.email}`] : ["Nobody knows who you are."])),
    h(
      "p",
      { class: "buttons" },
      somebody(person ? "Be somebody else" : "Be somebody"),
      somebody("Be somebody last seen two weeks ago", signedInTwoWeeksAgo),
    ),
  );
}

// What will come of it, in a sentence or two.
function outlook() {
  if (trouble) return trouble;
  if (mustAsk())
    return [
      "Your browser asks not to be tracked, so nothing is reported. ",
      h("button", { class: "link", onclick: allow }, "Allow it here"),
    ];
  const latest = (name) => told.find((each) => each.event.event === name && each.at >= beginning);
  const [added, purchased, identified] = ["added_to_cart", "purchased", "identify"].map(latest);
  if (told[0] && told[0].at - told[0].event.timestamp > DAY_MS)
    return "Not seen for two weeks: the mail that invites you back is due in three seconds, if you touch nothing meanwhile.";
  if (purchased && !(added?.at > purchased.at)) return "Bought: there is nothing to remind you of.";
  if (!count()) return "Put something into the cart, then leave it.";
  if (!current()) return "There is a cart, but no address: say who you are, or a reminder has nowhere to go.";
  if (!added) return "The cart was filled earlier, and Beckon knows when.";
  const due = reminderDue(added);
  if (identified?.at > due) return "The reminder was due before you said who you are. Put one more thing into the cart.";
  if (Date.now() < due) {
    setTimeout(draw, due - Date.now());
    return `Leave the cart as it is: the reminder is due at ${clock(due)}, unless you buy.`;
  }
  return (
    `The reminder was due at ${clock(due)}. From here on events carry their own time; ` +
    "nobody is reminded twice a day, so be somebody else to see it again."
  );
}

function entry({ event }) {
  const { event: name, timestamp, properties, ...rest } = event;
  const about = properties.name || properties.order_id || properties.email || properties.title || "";
  const sent = { event: name, timestamp: new Date(timestamp).toISOString(), ...rest, properties };
  return h(
    "li",
    {},
    h(
      "details",
      {},
      h("summary", {}, h("code", {}, name), h("span", { class: "soft" }, about), h("time", { class: "soft" }, clock(timestamp))),
      h("pre", { tabindex: 0 }, JSON.stringify(sent, null, 2)),
    ),
  );
}
