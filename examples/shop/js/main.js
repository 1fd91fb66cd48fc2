// The sample shop: Beckon's SDK first, then the pages, the panel, and what every page shows.

import * as beckon from "/js/beckon.js";
import { count } from "/js/cart.js";
import { find } from "/js/dom.js";
import * as navigation from "/js/navigation.js";
import * as panel from "/js/panel.js";
import { current } from "/js/person.js";

function drawHeader() {
  find("cart-count").textContent = count();
  find("cart-count").hidden = !count();
  find("account-link").firstElementChild.textContent = current() ? current().first_name : "Sign in";
}

for (const name of ["cart", "person"]) document.addEventListener(name, drawHeader);

// Another tab changed something, or the page comes back out of the browser's cache.
const redraw = () => ["cart", "person"].forEach((name) => document.dispatchEvent(new Event(name)));
addEventListener("storage", redraw);
addEventListener("pageshow", (event) => event.persisted && redraw());

drawHeader();
navigation.begin();
panel.begin();
beckon.begin();
