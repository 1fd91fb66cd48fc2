import { h } from "/js/dom.js";

export const missing = () => ({
  title: "Not here",
  content: [
    h("h1", {}, "Not here"),
    h("p", { class: "lead" }, "There is no such page, or no longer."),
    h("p", {}, h("a", { class: "button primary", href: "/" }, "To the shop")),
  ],
});
