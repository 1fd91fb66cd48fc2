/** Beckon's browser SDK. See docs/sdk.md. */

export type Properties = Record<string, unknown>;

export interface Product extends Properties {
  product_id: string;
  name?: string;
  price?: number;
  currency?: string;
  image_url?: string;
  url?: string;
  category?: string;
  quantity?: number;
}

/** An event as it is about to be kept and sent. `timestamp` is in epoch milliseconds. */
export interface Event {
  event: string;
  timestamp: number;
  event_id: string;
  anonymous_id: string;
  user_id?: string;
  properties: Properties;
  context: Properties;
}

export interface Options {
  /** Where the tracker is; the origin of the script if it was loaded by a `<script src>`. */
  url?: string;
  /** `required`: nothing is stored or sent before `consent`. `given`: also where the browser asks not to be tracked. */
  consent?: "required" | "given";
  /** The domain of a cookie that keeps the anonymous id, to share it between subdomains. Without it no cookie is set. */
  cookie?: string;
  /** Whether views of pages are reported by themselves, also where history changes without a load. */
  pages?: boolean;
  /** Sees each event before it is kept and sent, may change it, and keeps it from being sent by answering `false`. */
  before?: (event: Event) => boolean | void;
}

export interface Beckon {
  (call: "init", writeKey: string, options?: Options): void;
  (call: "track", event: "product_viewed" | "added_to_cart" | "removed_from_cart", product: Product): void;
  (call: "track", event: string, properties?: Properties): void;
  (call: "page", properties?: Properties): void;
  /** The visitor is this user; `traits` are the profile: `email`, `first_name`, … */
  (call: "identify", userId: string, traits?: Properties): void;
  (call: "alias", userId: string): void;
  /** Signed out: whoever comes next is somebody else. */
  (call: "reset"): void;
  (call: "consent", given: boolean): void;
  /** How many things lie in the cart, where the shop knows better than the events tell. */
  (call: "cart", quantity: number): void;
}

declare global {
  interface Window {
    beckon: Beckon;
  }
  const beckon: Beckon;
}
