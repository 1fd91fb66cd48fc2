// Asking who somebody is: in a form of its own, within another one, and before the first thing goes into the cart.

import { config } from "/js/config.js";
import { h } from "/js/dom.js";
import { current, madeUp, signIn } from "/js/person.js";

let asked = false; // once is enough

export function fields() {
  const { email = "", first_name = "" } = current() || {};
  const address = h("input", { type: "email", name: "email", required: true, autocomplete: "email", maxlength: 120, value: email });
  const name = h("input", { name: "first_name", required: true, autocomplete: "given-name", maxlength: 60, value: first_name });
  const fill = () => {
    const somebody = madeUp();
    address.value = somebody.email;
    name.value = somebody.first_name;
  };
  const where = config.inbox && "Mails stay in the inbox that came with this shop. ";
  return h(
    "div",
    { class: "fields" },
    h("label", {}, "E-mail", address),
    h("label", {}, "First name", name),
    h("p", { class: "soft small" }, where, h("button", { type: "button", class: "link", onclick: fill }, "Make somebody up")),
  );
}

export const entered = (form) => Object.fromEntries(new FormData(form));

// Answers when the question is settled, one way or the other.
export function askWhoItIs() {
  if (current() || asked) return Promise.resolve();
  asked = true;
  return new Promise((settled) => {
    const submit = (event) => {
      event.preventDefault();
      signIn(entered(event.target));
      dialog.close();
    };
    const dialog = h(
      "dialog",
      { class: "ask", "aria-labelledby": "ask-title" },
      h(
        "form",
        { onsubmit: submit },
        h("h2", { id: "ask-title" }, "Shall we keep it for you?"),
        h("p", { class: "soft" }, "Leave your address, and your cart will be waiting wherever you come back from."),
        fields(),
        h(
          "div",
          { class: "buttons" },
          h("button", { class: "primary" }, "Keep my cart"),
          h("button", { type: "button", onclick: () => dialog.close() }, "No, thank you"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      settled();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
