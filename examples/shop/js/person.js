// Who is shopping: an e-mail address and a first name, under a number of the shop's own.

import { signedIn, signedOut } from "/js/beckon.js";
import { empty } from "/js/cart.js";
import { read, write } from "/js/storage.js";

const NAMES = ["Ada", "Ben", "Cleo", "Dan", "Edda", "Finn", "Gil", "Hana", "Iris", "Jon"];

export const current = () => read("person", null);

// `tell`: how Beckon hears of it.
export function signIn(given, tell = signedIn) {
  const email = given.email.trim();
  const person = { user_id: number(email.toLowerCase()), email, first_name: given.first_name.trim() };
  write("person", person);
  tell(person);
  changed();
}

export function signOut() {
  write("person", null);
  empty();
  signedOut();
  changed();
}

export function beSomebodyElse(tell = signedIn) {
  signOut();
  signIn(madeUp(), tell);
}

export function madeUp() {
  const first_name = NAMES[Math.floor(Math.random() * NAMES.length)];
  return { first_name, email: `${first_name.toLowerCase()}.${Math.random().toString(36).slice(2, 6)}@example.com` };
}

// The same address has the same number, in whatever browser (FNV-1a). A real shop has accounts, and they have numbers.
function number(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `customer-${hash.toString(36)}`;
}

function changed() {
  document.dispatchEvent(new Event("person"));
}
