// From page to page without a load: what the shop knows survives, also where nothing may be stored.

import { find, notice } from "/js/dom.js";
import { account } from "/js/pages/account.js";
import { cart } from "/js/pages/cart.js";
import { checkout } from "/js/pages/checkout.js";
import { home } from "/js/pages/home.js";
import { missing } from "/js/pages/missing.js";
import { order } from "/js/pages/order.js";
import { product } from "/js/pages/product.js";

const PAGES = [
  [/^\/$/, home],
  [/^\/products\/([\w-]+)$/, product],
  [/^\/cart$/, cart],
  [/^\/checkout$/, checkout],
  [/^\/orders\/([\w-]+)$/, order],
  [/^\/account$/, account],
];

let leaving = new AbortController();

export function go(address) {
  history.pushState(null, "", address);
  show();
  notice();
  scrollTo(0, 0);
  find("main").focus({ preventScroll: true });
}

// A page is a function of what its address says (`id`), of a `signal` that it was left, and of the way to another one (`go`).
// It answers its title, its content, and what to do once it is shown.
function show() {
  leaving.abort();
  leaving = new AbortController();
  const { title, content, shown } = page(leaving.signal);
  document.title = title === "Harbour Goods" ? title : `${title} · Harbour Goods`;
  find("main").replaceChildren(...content);
  for (const link of document.querySelectorAll("header nav a"))
    link.setAttribute("aria-current", link.pathname === location.pathname ? "page" : "false");
  if (shown) setTimeout(shown); // after the SDK has seen that the page is another one
}

function page(signal) {
  for (const [pattern, make] of PAGES) {
    const found = pattern.exec(location.pathname);
    if (found) return make({ id: found[1], signal, go });
  }
  return missing();
}

function follow(event) {
  const link = event.target.closest("a[href]");
  const elsewhere = event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || elsewhere || link.target || link.origin !== location.origin || link.hash) return;
  event.preventDefault();
  go(link.href);
}

export function begin() {
  document.addEventListener("click", follow);
  addEventListener("popstate", show);
  show();
}
