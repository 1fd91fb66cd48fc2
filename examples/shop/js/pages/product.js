import { track } from "/js/beckon.js";
import { count, MOST, put, quantityOf } from "/js/cart.js";
import { productOf, products, properties } from "/js/catalogue.js";
import { h, money, notice, picture, redraw } from "/js/dom.js";
import { missing } from "/js/pages/missing.js";
import { card, stepper } from "/js/pieces.js";
import { askWhoItIs } from "/js/sign-in.js";

export function product({ id, signal }) {
  const shown = productOf(id);
  if (!shown) return missing();
  return {
    title: shown.name,
    content: [
      h(
        "article",
        { class: "product" },
        h("div", { class: "tile" }, picture(shown)),
        h(
          "div",
          {},
          h("p", { class: "soft small" }, h("a", { href: "/" }, "All goods"), ` / ${shown.category}`),
          h("h1", {}, shown.name),
          h("p", { class: "lead" }, shown.line),
          h("p", { class: "price" }, money(shown.price), h("span", { class: "soft small" }, " incl. VAT, free delivery")),
          adding(shown, signal),
          h("p", {}, shown.text),
          h("ul", { class: "details" }, shown.details.map((detail) => h("li", {}, detail))),
        ),
      ),
      h(
        "section",
        { "aria-labelledby": "more-title" },
        h("h2", { id: "more-title" }, "Goes well with it"),
        h("ul", { class: "goods" }, others(shown).map(card)),
      ),
    ],
    shown: () => track("product_viewed", properties(shown)),
  };
}

function adding(shown, signal) {
  let wanted = 1;
  const box = h("div", { class: "adding" });
  const change = (quantity) => {
    wanted = quantity;
    draw();
  };
  const add = async () => {
    await askWhoItIs();
    const more = wanted;
    wanted = 1;
    put(shown, quantityOf(shown) + more);
    notice(`In your cart: ${shown.name}. `, h("a", { href: "/cart" }, `View cart (${count()})`));
  };
  function draw() {
    const there = quantityOf(shown);
    wanted = Math.max(1, Math.min(wanted, MOST - there));
    redraw(
      box,
      stepper(shown, wanted, change),
      h("button", { class: "primary", "data-key": "add", disabled: there >= MOST, onclick: add }, "Add to cart"),
      there > 0 && h("p", { class: "soft small" }, `You have ${there} in your cart. `, h("a", { href: "/cart" }, "To the cart")),
    );
  }
  document.addEventListener("cart", draw, { signal });
  draw();
  return box;
}

// Of the same category first.
function others(shown) {
  const rest = products.filter((each) => each !== shown);
  return rest.sort((a, b) => (b.category === shown.category) - (a.category === shown.category)).slice(0, 4);
}
