// The load generator of bench/load.py where wrk is not installed: requests over open connections, each
// connection one at a time. The argument is JSON: {host, port, path, method, headers, run, bodies,
// connections, seconds}; "NNN" in a body becomes unique in all runs. Prints {requests, seconds, bad, ms},
// the times sorted.

import net from "node:net";

const { host, port, path, method, headers, run, bodies, connections, seconds } = JSON.parse(
  process.argv[2],
);
const head = Object.entries({ host: `${host}:${port}`, ...headers })
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join("");
const times = [];
let bad = 0;
let sent = 0;
const started = process.hrtime.bigint();
const until = started + BigInt(Math.round(seconds * 1e9));

function nextRequest() {
  sent += 1;
  if (method === "GET") return `GET ${path} HTTP/1.1\r\n${head}\r\n`;
  const body = bodies[sent % bodies.length].replaceAll("NNN", `${run}${sent}`);
  return `POST ${path} HTTP/1.1\r\n${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

// The length of the whole response that `received` begins with, or 0 if a part is missing.
function wholeLength(received) {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return 0;
  const headers = received.subarray(0, end).toString("latin1").toLowerCase();
  const length = /\r\ncontent-length: *(\d+)/.exec(headers);
  if (length) {
    const whole = end + 4 + Number(length[1]);
    return received.length >= whole ? whole : 0;
  }
  return received.subarray(-5).toString("latin1") === "0\r\n\r\n" ? received.length : 0; // in chunks
}

function connection() {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, noDelay: true });
    let received = Buffer.alloc(0);
    let begun;
    const send = () => {
      begun = process.hrtime.bigint();
      if (begun >= until) socket.end();
      else socket.write(nextRequest());
    };
    socket.on("connect", send);
    socket.on("data", (part) => {
      received = received.length ? Buffer.concat([received, part]) : part;
      const length = wholeLength(received);
      if (!length) return;
      times.push(Number(process.hrtime.bigint() - begun) / 1e6);
      if (received.subarray(9, 12).toString("latin1") !== "200") bad += 1;
      received = received.subarray(length);
      send();
    });
    socket.on("error", () => {
      bad += 1;
    });
    socket.on("close", resolve);
  });
}

await Promise.all(Array.from({ length: connections }, connection));
const took = Number(process.hrtime.bigint() - started) / 1e9;
times.sort((a, b) => a - b);
console.log(JSON.stringify({ requests: times.length, seconds: took, bad, ms: times }));
