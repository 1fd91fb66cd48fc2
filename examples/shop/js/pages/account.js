import { h, money, redraw } from "/js/dom.js";
import { current, signIn, signOut } from "/js/person.js";
import { entered, fields } from "/js/sign-in.js";
import { read } from "/js/storage.js";

export function account({ signal }) {
  const content = h("div", { class: "narrow" });
  const draw = () => redraw(content, current() ? known(current()) : unknown());
  document.addEventListener("person", draw, { signal });
  draw();
  return { title: "Account", content: [content] };
}

function unknown() {
  const submit = (event) => {
    event.preventDefault();
    signIn(entered(event.target));
  };
  return [
    h("h1", {}, "Who are you?"),
    h("p", { class: "lead" }, "No password: this shop takes your word for it."),
    h("form", { class: "box", onsubmit: submit }, fields(), h("button", { class: "primary" }, "Sign in")),
  ];
}

function known(person) {
  const orders = read("orders", []);
  return [
    h("h1", {}, `Hello, ${person.first_name}.`),
    h("p", { class: "lead" }, person.email),
    h(
      "section",
      { class: "box", "aria-labelledby": "orders-title" },
      h("h2", { id: "orders-title" }, "Orders from this browser"),
      orders.length ? h("ul", { class: "brief" }, orders.map(row)) : h("p", { class: "soft" }, "None yet."),
    ),
    h("p", {}, h("button", { onclick: signOut }, "Sign out")),
  ];
}

const row = (order) =>
  h(
    "li",
    {},
    h("a", { href: `/orders/${order.order_id}` }, order.order_id),
    h("span", { class: "soft" }, new Date(order.at).toLocaleDateString()),
    h("span", {}, money(order.total)),
  );
