// The one file that talks to Beckon: the snippet of docs/sdk.md, and what the panel adds to it.

import { config } from "/js/config.js";
import { read, write } from "/js/storage.js";

const LEAD_MS = 3000; // how long before they are due events are sent that are dated back
const HALF_AN_HOUR_MS = 30 * 60 * 1000;
const TWO_WEEKS_MS = 14 * 24 * 60 * 60 * 1000;

// Every event since the page was opened, the latest first: `at`, when it really happened, and `event`.
export const told = [];
export let trouble = "";
export let beginning = 0; // when whoever this is came

let ago; // set for a moment: how long ago what is told now is to have happened

window.beckon = window.beckon || function () { (window.beckon.q = window.beckon.q || []).push(arguments); };

export function begin() {
  window.beckon("init", config.write_key, { url: config.tracker, before });
  import(`${config.tracker}/sdk.js`)
    .catch(() => { trouble = `The tracker at ${config.tracker} does not answer, so nothing is reported.`; })
    .then(changed);
}

export const track = (name, properties) => window.beckon("track", name, properties);
export const signedIn = ({ user_id, email, first_name }) => window.beckon("identify", user_id, { email, first_name });
export const isLoaded = () => Boolean(window.beckon.loaded);

export function signedOut() {
  beginning = Date.now();
  window.beckon("reset");
}

// Sees each event before it is sent.
function before(event) {
  const at = Date.now();
  const { person, due } = read("reminder", {});
  const passed = person === event.user_id && at >= due;
  event.timestamp -= ago ?? (inHurry() && !passed ? HALF_AN_HOUR_MS - LEAD_MS : 0);
  told.unshift({ at, event });
  if (event.event === "added_to_cart" && event.user_id && !passed)
    write("reminder", { person: event.user_id, due: reminderDue(told[0]) });
  changed();
}

function changed() {
  document.dispatchEvent(new Event("beckon"));
}

// --- For demonstration -----------------------------------------------------------------------------------------------

// In a hurry, half an hour is skipped once for each person: until the reminder of their cart is due, events are dated
// back, all by the same amount, so that what came first stays first. What comes after the mail has its own time, so that
// it is after the mail.
export const inHurry = () => read("hurry", true);
export const setHurry = (yes) => write("hurry", yes);
export const reminderDue = (added) => added.event.timestamp + HALF_AN_HOUR_MS;

// Signed in 14 days less three seconds ago, looked at a page, and was not seen again.
export function signedInTwoWeeksAgo(person) {
  ago = TWO_WEEKS_MS - LEAD_MS;
  signedIn(person);
  window.beckon("page");
  ago = undefined;
}

// Where the browser asks not to be tracked, the SDK does nothing until it is told that it may.
export const mustAsk = () =>
  Boolean(isLoaded() && !told.length && (navigator.globalPrivacyControl || navigator.doNotTrack === "1"));
export const allow = () => window.beckon("consent", true);
