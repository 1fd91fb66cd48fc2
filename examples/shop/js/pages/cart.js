import { lines, put, total } from "/js/cart.js";
import { path } from "/js/catalogue.js";
import { h, money, picture, redraw } from "/js/dom.js";
import { emptyCart, stepper, sum } from "/js/pieces.js";

export function cart({ signal }) {
  const content = h("div", {});
  const draw = () => redraw(content, lines().length ? filled() : emptyCart());
  document.addEventListener("cart", draw, { signal });
  draw();
  return { title: "Cart", content: [content] };
}

function filled() {
  return [
    h("h1", {}, "Your cart"),
    h(
      "div",
      { class: "split" },
      h("ul", { class: "lines" }, lines().map(line)),
      h(
        "section",
        { class: "box", "aria-label": "Summary" },
        sum(total()),
        h("a", { class: "button primary", href: "/checkout" }, "Check out"),
        h("p", { class: "soft small" }, "Or leave it here. It will wait for you."),
      ),
    ),
  ];
}

function line({ product, quantity }) {
  return h(
    "li",
    {},
    h("a", { class: "tile", href: path(product), tabindex: -1, "aria-hidden": "true" }, picture(product, { alt: "" })),
    h(
      "div",
      {},
      h("a", { class: "name", href: path(product) }, product.name),
      h("p", { class: "soft small" }, `${money(product.price)} each`),
      h(
        "div",
        { class: "row" },
        stepper(product, quantity, (wanted) => put(product, wanted)),
        h("button", { class: "link", "aria-label": `Remove: ${product.name}`, onclick: () => put(product, 0) }, "Remove"),
      ),
    ),
    h("p", { class: "price" }, money((Math.round(product.price * 100) * quantity) / 100)),
  );
}
