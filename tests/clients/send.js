// Sends events with a client library as its users do: node send.js segment|rudderstack URL KEY COUNT FILE
// The second half is begun once FILE is there.
const { existsSync } = require("fs");
const [library, url, key, count, go] = process.argv.slice(2);
const failures = [];

async function* calls() {
  for (let number = 0; number < Number(count); number++) {
    while (number === Math.floor(count / 2) && !existsSync(go)) await new Promise((done) => setTimeout(done, 10));
    if (number % 100 === 99) await new Promise(setImmediate); // as a server does, which has other things to do as well
    yield { userId: `u${number % 100}`, event: "Product Viewed", properties: { number } };
  }
}

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  const client = new Analytics({ writeKey: key, host: url, maxRetries: 10 });
  client.on("error", (error) => failures.push(`${error.code}: ${error.reason}`));
  for await (const call of calls()) client.track(call);
  await client.closeAndFlush({ timeout: 120_000 });
}

async function rudderstack() {
  const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
  const client = new RudderAnalytics(key, { dataPlaneUrl: url, flushAt: 100, retryCount: 10 });
  const delivered = [];
  for await (const call of calls()) {
    delivered.push(new Promise((done) => client.track(call, (error) => done(error && failures.push(String(error))))));
  }
  await client.flush();
  await Promise.all(delivered);
}

({ segment, rudderstack })[library]().then(() => {
  if (failures.length) console.error(failures.slice(0, 10).join("\n"));
  process.exit(failures.length ? 1 : 0);
});
