// The cart: how many of each product. Every change is told to Beckon and to the page.

import { track } from "/js/beckon.js";
import { productOf, properties } from "/js/catalogue.js";
import { read, write } from "/js/storage.js";

export const MOST = 9; // of one product

const quantities = () => read("cart", {});

export function lines() {
  return Object.entries(quantities())
    .map(([id, quantity]) => ({ product: productOf(id), quantity }))
    .filter((line) => line.product);
}

export const quantityOf = (product) => quantities()[product.product_id] || 0;
export const count = () => lines().reduce((sum, line) => sum + line.quantity, 0);

// In cents while adding up, so that it is exact.
export function total() {
  return lines().reduce((cents, { product, quantity }) => cents + Math.round(product.price * 100) * quantity, 0) / 100;
}

export function put(product, quantity) {
  const before = quantityOf(product);
  const after = Math.max(0, Math.min(MOST, quantity));
  const left = { ...quantities(), [product.product_id]: after };
  if (!after) delete left[product.product_id];
  write("cart", left);
  if (after > before) track("added_to_cart", properties(product, after - before));
  if (after < before) track("removed_from_cart", properties(product, before - after));
  changed();
}

export function empty() {
  write("cart", {});
  changed();
}

function changed() {
  document.dispatchEvent(new Event("cart"));
}
