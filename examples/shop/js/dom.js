// Elements, money and times, as every page of the shop makes them.

// `attributes`: an `on…` is a listener; true is an attribute without a value; false, null and undefined are none.
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

const euros = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });

export const money = (amount) => euros.format(amount);
export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString([], { hourCycle: "h23" });
export const find = (id) => document.getElementById(id);

// Puts new content in, and the focus back where it was: on what has the same `data-key`.
export function redraw(container, ...content) {
  const key = document.activeElement?.dataset.key;
  container.replaceChildren(...content.flat().filter(Boolean));
  if (key) container.querySelector(`[data-key="${key}"]`)?.focus();
}

let hiding;

// Says something in passing, and nothing when it is called without content; screen readers read it out.
export function notice(...content) {
  clearTimeout(hiding);
  find("notice").replaceChildren(...content);
  hiding = setTimeout(() => find("notice").replaceChildren(), 6000);
}

export function picture(product, attributes = {}) {
  return h("img", { src: `/drawings/${product.product_id}.svg`, alt: product.alt, width: 600, height: 600, ...attributes });
}
