import { path, productOf, products } from "/js/catalogue.js";
import { h, picture } from "/js/dom.js";
import { card } from "/js/pieces.js";

const SHOWN = ["backpack", "mug", "lamp"];

export function home() {
  const shown = SHOWN.map(productOf).filter(Boolean);
  const tile = (product) => h("a", { class: "tile", href: path(product) }, picture(product, { alt: product.name }));
  return {
    title: "Harbour Goods",
    content: [
      h(
        "section",
        { class: "hero" },
        h(
          "div",
          {},
          h("h1", {}, "Few things, made to stay."),
          h(
            "p",
            { class: "lead" },
            "For the kitchen table, the desk and the way to the quay. Made by people we know by name, mended for as long as ",
            "you have them.",
          ),
          h("a", { class: "button primary", href: "#goods" }, "See all of them"),
        ),
        h("div", { class: "mosaic" }, shown.map(tile)),
      ),
      h(
        "section",
        { id: "goods", "aria-labelledby": "goods-title" },
        h("h2", { id: "goods-title" }, "All goods"),
        h("ul", { class: "goods" }, products.map(card)),
      ),
    ],
  };
}
