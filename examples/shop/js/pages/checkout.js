import { track } from "/js/beckon.js";
import { count, empty, lines, total } from "/js/cart.js";
import { properties } from "/js/catalogue.js";
import { h, money } from "/js/dom.js";
import { signIn } from "/js/person.js";
import { emptyCart, item, sum } from "/js/pieces.js";
import { entered, fields } from "/js/sign-in.js";
import { read, write } from "/js/storage.js";

const bought = () => lines().map(({ product, quantity }) => properties(product, quantity));
const summary = () => ({ total: total(), currency: "EUR", quantity: count() });

export function checkout({ go }) {
  if (!count()) return { title: "Checkout", content: emptyCart() };
  return {
    title: "Checkout",
    content: [
      h("h1", {}, "Checkout"),
      h(
        "div",
        { class: "split" },
        h(
          "form",
          { class: "box", onsubmit: (event) => go(`/orders/${buy(event)}`) },
          h("h2", {}, "Who is it for?"),
          fields(),
          h("h2", {}, "Payment"),
          h("p", { class: "soft" }, "Play money. Nothing is charged, and nobody will ring your bell."),
          h("button", { class: "primary" }, `Place the order, ${money(total())}`),
        ),
        h("section", { class: "box", "aria-label": "Your order" }, h("ul", { class: "brief" }, lines().map(item)), sum(total())),
      ),
    ],
    shown: () => track("checkout_started", { ...summary(), products: bought() }),
  };
}

// Answers the order's number.
function buy(event) {
  event.preventDefault();
  signIn(entered(event.target));
  const products = bought();
  const order_id = `HG-${Date.now().toString(36).toUpperCase()}`;
  const order = { order_id, ...summary(), products };
  // What is used up in time is asked about again: examples/rules/replenishment.yaml.
  track("purchased", products.some((product) => product.consumable) ? { ...order, consumable: true } : order);
  write("orders", [{ ...order, at: Date.now() }, ...read("orders", [])].slice(0, 20));
  empty();
  return order_id;
}
