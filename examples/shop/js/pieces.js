// What several pages show.

import { MOST } from "/js/cart.js";
import { path } from "/js/catalogue.js";
import { h, money, picture } from "/js/dom.js";

export const card = (product) =>
  h(
    "li",
    {},
    h(
      "a",
      { class: "card", href: path(product) },
      h("span", { class: "tile" }, picture(product, { alt: "", loading: "lazy" })),
      h("span", { class: "name" }, product.name),
      h("span", { class: "price" }, money(product.price)),
    ),
  );

// A line of an order.
export const item = ({ product, quantity }) =>
  h(
    "li",
    {},
    h("span", { class: "tile" }, picture(product, { alt: "" })),
    h("span", {}, product.name),
    h("span", { class: "soft" }, `× ${quantity}`),
  );

export const sum = (amount) =>
  h(
    "dl",
    { class: "sum" },
    h("div", {}, h("dt", {}, "Delivery"), h("dd", {}, "free")),
    h("div", { class: "total" }, h("dt", {}, "Total, incl. VAT"), h("dd", {}, money(amount))),
  );

export const emptyCart = () => [
  h("h1", {}, "Your cart is empty"),
  h("p", { class: "lead" }, "Nothing in it yet, or nothing any more."),
  h("p", {}, h("a", { class: "button primary", href: "/" }, "Look around")),
];

// How many: two buttons around a number, which is at least 1.
export function stepper(product, quantity, change) {
  const step = (by, word, sign) =>
    h(
      "button",
      {
        type: "button",
        "aria-label": `${word}: ${product.name}`,
        "data-key": `${word} ${product.product_id}`,
        disabled: quantity + by < 1 || quantity + by > MOST,
        onclick: () => change(quantity + by),
      },
      sign,
    );
  return h(
    "div",
    { class: "stepper", role: "group", "aria-label": `How many: ${product.name}` },
    step(-1, "One less", "−"),
    h("output", {}, quantity),
    step(1, "One more", "+"),
  );
}
