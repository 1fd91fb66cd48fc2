import { productOf } from "/js/catalogue.js";
import { h } from "/js/dom.js";
import { missing } from "/js/pages/missing.js";
import { current } from "/js/person.js";
import { item, sum } from "/js/pieces.js";
import { read } from "/js/storage.js";

const when = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

export function order({ id }) {
  const placed = read("orders", []).find((each) => each.order_id === id);
  if (!placed) return missing();
  const lines = placed.products
    .map(({ product_id, quantity }) => ({ product: productOf(product_id), quantity }))
    .filter((line) => line.product);
  return {
    title: `Order ${id}`,
    content: [
      h("h1", {}, current() ? `Thank you, ${current().first_name}.` : "Thank you."),
      h("p", { class: "lead" }, "Your order is in. If it were real, we would be wrapping it by now."),
      h(
        "section",
        { class: "box narrow", "aria-label": "Your order" },
        h("p", { class: "soft small" }, `Order ${id}, ${when.format(placed.at)}`),
        h("ul", { class: "brief" }, lines.map(item)),
        sum(placed.total),
      ),
      h("p", {}, h("a", { class: "button", href: "/" }, "Back to the shop")),
    ],
  };
}
